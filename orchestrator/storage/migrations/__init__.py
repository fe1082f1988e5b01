"""The schema's history: one file per change, named by date and purpose. Each says how to go forward, none back."""
