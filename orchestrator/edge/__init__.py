"""Where HTTP comes in and goes out: what every request passes, whatever it asks for."""
