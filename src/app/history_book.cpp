#include "app/history_book.h"

namespace penstock::app {
namespace {

stream::HistoryFunction to_stream(api::HistoryFunction function) {
  switch (function) {
    case api::HistoryFunction::kAvg:
      return stream::HistoryFunction::kAvg;
    case api::HistoryFunction::kMin:
      return stream::HistoryFunction::kMin;
    case api::HistoryFunction::kMax:
      return stream::HistoryFunction::kMax;
    case api::HistoryFunction::kFirst:
      return stream::HistoryFunction::kFirst;
    case api::HistoryFunction::kLast:
      return stream::HistoryFunction::kLast;
    case api::HistoryFunction::kCount:
      return stream::HistoryFunction::kCount;
  }
  return stream::HistoryFunction::kAvg;
}

stream::HistoryQuery to_stream(const api::HistoryQuestion& question,
                               const std::atomic<bool>& cancelled) {
  stream::HistoryQuery query;
  query.series = question.series;
  query.from = question.from;
  query.to = question.to;
  query.bucket = question.bucket;
  query.points = question.points;
  for (const auto function : question.functions) query.functions.push_back(to_stream(function));
  query.limit = question.limit;
  query.cancelled = &cancelled;
  return query;
}

api::SeriesAnswer to_api(stream::HistorySeries& from) {
  api::SeriesAnswer out;
  out.series = from.series;
  out.time = std::move(from.time);
  out.number = std::move(from.number);
  out.text = std::move(from.text);
  out.avg = std::move(from.avg);
  out.min = std::move(from.min);
  out.max = std::move(from.max);
  out.first = std::move(from.first);
  out.last = std::move(from.last);
  out.count = std::move(from.count);
  out.quality = std::move(from.quality);
  for (const auto& gap : from.gaps) out.gaps.push_back({gap.from, gap.to});
  return out;
}

}  // namespace

Result<api::HistoryAnswer> StoredHistory::query(const api::HistoryQuestion& question,
                                                const std::atomic<bool>& cancelled) {
  TRY_ASSIGN(auto answer, store_.query(to_stream(question, cancelled)));
  api::HistoryAnswer out;
  out.bucket = answer.bucket;
  for (stream::HistorySeries& series : answer.series) {
    out.truncated = out.truncated || series.next.has_value();
    out.series.push_back(to_api(series));
  }
  return out;
}

Status StoredHistory::export_parquet(const api::HistoryQuestion& question, const std::string& path,
                                     const std::atomic<bool>& cancelled) {
  return store_.export_query(
      to_stream(question, cancelled), [this](SeriesId id) { return series_name(twins_, id); }, path,
      stream::ExportFormat::kParquet);
}

stream::SeriesName series_name(const twin::TwinRegistry& twins, SeriesId id) {
  const twin::SeriesPtr series = twins.series(id);
  if (!series) return {"", "", "series-" + std::to_string(id.value), ""};
  stream::SeriesName out;
  out.element = series->element;
  out.unit = series->unit;
  if (const auto twin = twins.twin(series->twin)) {
    out.twin = twin->name;
    if (const auto site = twins.site(twin->site)) out.site = site->name;
  }
  return out;
}

}  // namespace penstock::app
