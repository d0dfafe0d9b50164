"""Operations of the lab, by what they are for: each module holds one group, over :class:`~peft_lab.bench.Bench`."""
