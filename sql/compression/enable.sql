-- The names of TimescaleDB 2.18 on; what was compressed before stays as it is.
ALTER TABLE {table} SET (
    timescaledb.enable_columnstore = true,
    timescaledb.segmentby = {segment_by},
    timescaledb.orderby = {order_by}
)
