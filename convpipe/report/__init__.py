"""What people see. It reads archives only."""
