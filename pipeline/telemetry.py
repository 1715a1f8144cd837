"""Every metric and log-event name we emit, with unit and meaning."""
