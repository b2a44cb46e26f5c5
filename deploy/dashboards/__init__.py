"""The Grafana dashboards as code, one module for each board. `make docs` writes them into deploy/grafana/dashboards."""
