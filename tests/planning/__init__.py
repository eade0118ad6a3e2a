"""Laws over worlds, and tables with named factors. No async, no fixtures."""
