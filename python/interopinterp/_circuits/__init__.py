"""What stands behind interopinterp.circuits."""
