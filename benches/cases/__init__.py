"""What is measured: the applications, their requests and their goals. How it is measured is in the folders beside this one."""
