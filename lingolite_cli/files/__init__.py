"""Files and disks: locks, free space, templates and download sizes."""
