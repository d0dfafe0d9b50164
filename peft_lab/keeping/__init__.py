"""What was trained, outside its run: saved, loaded, merged, written as a plain script."""
