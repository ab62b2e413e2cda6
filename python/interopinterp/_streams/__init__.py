"""What stands behind interopinterp.streams."""
