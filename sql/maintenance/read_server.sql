-- What the server is. Without the extension its licence is null.
SELECT current_setting('server_version'),
       current_setting('server_version_num')::integer / 10000,
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
       current_setting('timescaledb.license', true)
