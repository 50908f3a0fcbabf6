"""How often the intervals of forecasts hold: on simulated series, and on those recorded from servers."""
