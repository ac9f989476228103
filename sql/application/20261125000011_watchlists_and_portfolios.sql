-- migrate:up

-- The application's own: whose they are is the application's word (owner), and no load touches
-- them. A symbol references no row of symbols: that table is dated, so a symbol has several rows,
-- and both lists outlive a listing.
CREATE TABLE watchlists (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text NOT NULL CHECK (owner ~ '\S'),
    name text NOT NULL CHECK (name ~ '\S'),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner, name)
);
COMMENT ON TABLE watchlists IS 'Lists of symbols somebody watches';
COMMENT ON COLUMN watchlists.owner IS 'the application''s name for whose it is';

CREATE TABLE watchlist_items (
    watchlist_id bigint NOT NULL REFERENCES watchlists ON DELETE CASCADE,
    symbol text NOT NULL CHECK (symbol ~ '^[0-9A-Z]{6}$'),
    position integer NOT NULL CHECK (position >= 0),
    note text,
    added_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (watchlist_id, symbol),
    -- Two items change places in one transaction.
    UNIQUE (watchlist_id, position) DEFERRABLE INITIALLY DEFERRED
);
-- Who watches a symbol.
CREATE INDEX watchlist_items_symbol_idx ON watchlist_items (symbol);
COMMENT ON TABLE watchlist_items IS 'Symbols of a watchlist';
COMMENT ON COLUMN watchlist_items.position IS 'order within the list, from 0';

CREATE TABLE portfolios (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text NOT NULL CHECK (owner ~ '\S'),
    name text NOT NULL CHECK (name ~ '\S'),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner, name)
);
COMMENT ON TABLE portfolios IS 'What somebody holds; its transactions say what';
COMMENT ON COLUMN portfolios.owner IS 'the application''s name for whose it is';

CREATE TABLE portfolio_transactions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    portfolio_id bigint NOT NULL REFERENCES portfolios ON DELETE CASCADE,
    symbol text NOT NULL CHECK (symbol ~ '^[0-9A-Z]{6}$'),
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    shares bigint NOT NULL CHECK (shares > 0),
    price numeric(12,2) NOT NULL CHECK (price >= 0),
    costs numeric(12,2) NOT NULL DEFAULT 0 CHECK (costs >= 0),
    traded_at timestamptz NOT NULL,
    note text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX portfolio_transactions_portfolio_id_idx
    ON portfolio_transactions (portfolio_id, symbol, traded_at);
COMMENT ON TABLE portfolio_transactions IS 'Shares a portfolio bought and sold';
COMMENT ON COLUMN portfolio_transactions.price IS 'KRW a share, as traded; 0 for a transfer';
COMMENT ON COLUMN portfolio_transactions.costs IS 'fees and taxes, KRW';
COMMENT ON COLUMN portfolio_transactions.traded_at IS 'instant of the trade';

-- Follows from the transactions, so that it cannot contradict them. Read with the reader's rights.
CREATE VIEW portfolio_positions WITH (security_invoker = true) AS
SELECT portfolio_id, symbol,
       sum(CASE side WHEN 'buy' THEN shares ELSE -shares END)::bigint AS shares,
       sum(CASE side WHEN 'buy' THEN shares * price + costs ELSE costs - shares * price END)
           AS net_paid,
       max(traded_at) AS last_traded_at
FROM portfolio_transactions
GROUP BY portfolio_id, symbol
HAVING sum(CASE side WHEN 'buy' THEN shares ELSE -shares END) <> 0;
COMMENT ON VIEW portfolio_positions IS 'Shares each portfolio holds; net_paid in KRW, costs included';

-- The application reads the market, and writes what is its own. The reader, who serves everybody,
-- sees neither lists nor holdings.
GRANT SELECT ON symbols, companies, etf_constituents TO stockeasy_app;
GRANT EXECUTE ON FUNCTION symbols_on(date), companies_on(date) TO stockeasy_app;
GRANT SELECT, INSERT, UPDATE, DELETE
    ON watchlists, watchlist_items, portfolios, portfolio_transactions TO stockeasy_app;
GRANT SELECT ON portfolio_positions TO stockeasy_app;

-- migrate:down
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM stockeasy_app;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM stockeasy_app;
DROP VIEW portfolio_positions;
DROP TABLE portfolio_transactions;
DROP TABLE portfolios;
DROP TABLE watchlist_items;
DROP TABLE watchlists;
