"""The console in the browser: static files. It knows only the public HTTP API and `GET /api/events`."""
