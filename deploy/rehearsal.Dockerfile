# The bus of rehearsals (compose.yml): the same NATS, which listens on 4223 and 8223 instead of the ports declared here.
FROM nats:2.15-alpine
