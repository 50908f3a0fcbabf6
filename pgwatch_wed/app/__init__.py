"""What an application imports: metrics, logging, breakers; nothing of the analysis is loaded."""
