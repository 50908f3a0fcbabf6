"""What makes parts of this repository; not shipped."""
