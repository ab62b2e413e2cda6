"""What stands behind interopinterp.patching."""
