# DuckDB::DuckDB: an installed one where there is one, else the pinned download of scripts/setup.
find_path(DUCKDB_INCLUDE_DIR duckdb.h HINTS "${PENSTOCK_DEPS}/duckdb/include")
find_library(DUCKDB_LIBRARY duckdb HINTS "${PENSTOCK_DEPS}/duckdb/lib")
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(DuckDB REQUIRED_VARS DUCKDB_LIBRARY DUCKDB_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run `make setup`")
if(DuckDB_FOUND AND NOT TARGET DuckDB::DuckDB)
  add_library(DuckDB::DuckDB SHARED IMPORTED)
  set_target_properties(DuckDB::DuckDB PROPERTIES
    IMPORTED_LOCATION "${DUCKDB_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${DUCKDB_INCLUDE_DIR}")
endif()
