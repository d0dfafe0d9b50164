"""What the lab's listing operations show. Nothing here trains, and listings of plugins import no torch."""
