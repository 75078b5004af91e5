"""Several devices and processes: sharding, cluster, agreement, signals, watchdog."""
