"""TPC-DS in a PostgreSQL of our own: another schema and workload, on which nothing was tried before."""

import tempfile
from collections.abc import Collection
from pathlib import Path

import duckdb
import psycopg
from psycopg import sql

from pgwatch_wed.embedded import server as embedded
from tests.bench.index_advice.tpch import copy_table

# 18 tables in one FROM: each plan takes seconds, and peers ask for thousands
LEFT_OUT = frozenset({64})

PRIMARY_KEYS = {
    "call_center": ("cc_call_center_sk",),
    "catalog_page": ("cp_catalog_page_sk",),
    "catalog_returns": ("cr_item_sk", "cr_order_number"),
    "catalog_sales": ("cs_item_sk", "cs_order_number"),
    "customer": ("c_customer_sk",),
    "customer_address": ("ca_address_sk",),
    "customer_demographics": ("cd_demo_sk",),
    "date_dim": ("d_date_sk",),
    "household_demographics": ("hd_demo_sk",),
    "income_band": ("ib_income_band_sk",),
    "inventory": ("inv_date_sk", "inv_item_sk", "inv_warehouse_sk"),
    "item": ("i_item_sk",),
    "promotion": ("p_promo_sk",),
    "reason": ("r_reason_sk",),
    "ship_mode": ("sm_ship_mode_sk",),
    "store": ("s_store_sk",),
    "store_returns": ("sr_item_sk", "sr_ticket_number"),
    "store_sales": ("ss_item_sk", "ss_ticket_number"),
    "time_dim": ("t_time_sk",),
    "warehouse": ("w_warehouse_sk",),
    "web_page": ("wp_web_page_sk",),
    "web_returns": ("wr_item_sk", "wr_order_number"),
    "web_sales": ("ws_item_sk", "ws_order_number"),
    "web_site": ("web_site_sk",),
}
_COLUMNS = (
    "select column_name, data_type from information_schema.columns"
    " where table_name = ? order by ordinal_position"
)


def load(server: embedded.EmbeddedServer, scale: float, dbname: str = "tpcds") -> str:
    """Make the database at a scale and return its conninfo."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(dbname)))
    dsn = server.dsn(dbname)
    with (
        tempfile.TemporaryDirectory(prefix="pgwed-tpcds-") as folder,
        duckdb.connect() as source,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        source.execute(f"call dsdgen(sf={scale:g})")  # it takes no parameters
        for table, keys in PRIMARY_KEYS.items():
            _create(source, connection, table)
            copy_table(source, connection, table, Path(folder) / f"{table}.csv")
            connection.execute(
                sql.SQL("alter table {} add primary key ({})").format(
                    sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, keys))
                )
            )
        connection.execute("vacuum (freeze, analyze)")
    return dsn


def _create(source: duckdb.DuckDBPyConnection, connection: psycopg.Connection, table: str) -> None:
    columns = source.execute(_COLUMNS, [table]).fetchall()
    definitions = [sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in columns]
    connection.execute(
        sql.SQL("create table {} ({})").format(
            sql.Identifier(table), sql.SQL(", ").join(definitions)
        )
    )


def queries(left_out: Collection[int] = LEFT_OUT) -> dict[str, str]:
    """Return queries by name."""
    with duckdb.connect() as source:
        rows = source.execute("from tpcds_queries()").fetchall()
    return {f"q{n:02}.sql": text for n, text in rows if n not in left_out}
