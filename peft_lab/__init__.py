"""peft_lab: see and compare parameter-efficient fine-tuning in a notebook."""
