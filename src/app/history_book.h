#pragma once
// History as the API asks for it.

#include "api/ports.h"
#include "stream/history.h"
#include "twin/registry.h"

namespace penstock::app {

/// Any thread.
class StoredHistory final : public api::HistoryBook {
 public:
  StoredHistory(stream::HistoryStore& store, const twin::TwinRegistry& twins)
      : store_(store), twins_(twins) {}
  Result<api::HistoryAnswer> query(const api::HistoryQuestion& question,
                                   const std::atomic<bool>& cancelled) override;
  Status export_parquet(const api::HistoryQuestion& question, const std::string& path,
                        const std::atomic<bool>& cancelled) override;

 private:
  stream::HistoryStore& store_;
  const twin::TwinRegistry& twins_;
};

/// What people call a series in an exported file.
stream::SeriesName series_name(const twin::TwinRegistry& twins, SeriesId series);

}  // namespace penstock::app
