"""Why it was slow: a sampler of active sessions, their time charged to what holds it up, and ranked causes."""
