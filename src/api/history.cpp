// GET /twins/{id}/history and POST /query: JSON, CSV, Parquet.

#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "api/http/arguments.h"
#include "api/ports.h"
#include "api/render.h"
#include "api/routes.h"

namespace penstock::api {
namespace {

using access::Permission;

constexpr size_t kJsonPointsMax =
    2'000'000;  ///< of one answer, all series together: more goes as CSV or Parquet
constexpr size_t kSeriesMax = 1000;
constexpr size_t kPointsDefault = 2000;
constexpr size_t kPointsMax = 100'000;

struct Asked {
  HistoryQuestion question;
  std::vector<twin::SeriesPtr> series;  ///< parallel to question.series
};

Result<HistoryFunction> parse_function(std::string_view text) {
  for (const auto function :
       {HistoryFunction::kAvg, HistoryFunction::kMin, HistoryFunction::kMax,
        HistoryFunction::kFirst, HistoryFunction::kLast, HistoryFunction::kCount})
    if (name(function) == text) return function;
  return fail(ErrorCode::kInvalidArgument, "functions are avg, min, max, first, last and count",
              "functions");
}

/// "a,b,c" without empty parts.
std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto comma = text.find(',');
    if (const auto part = text.substr(0, comma); !part.empty()) out.emplace_back(part);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
  }
  return out;
}

Status read_times(HistoryQuestion& question, std::string_view from, std::string_view to,
                  Timestamp now) {
  auto parsed_to = parse_time(to, now, now);
  auto parsed_from = parse_time(from, now, (parsed_to ? *parsed_to : now) - Duration::hours(1));
  if (!parsed_from)
    return fail(ErrorCode::kInvalidArgument, "from must be RFC 3339, or relative as -1h", "from");
  if (!parsed_to)
    return fail(ErrorCode::kInvalidArgument, "to must be RFC 3339, now, or relative as -1h", "to");
  if (*parsed_to <= *parsed_from)
    return fail(ErrorCode::kInvalidArgument, "from must lie before to", "from");
  question.from = *parsed_from;
  question.to = *parsed_to;
  return {};
}

Status read_bucket(HistoryQuestion& question, std::string_view text) {
  if (text.empty()) return {};
  const auto bucket = parse_duration(text);
  if (!bucket || bucket->us < 1'000'000 || bucket->us > Duration::days(366).us)
    return fail(ErrorCode::kInvalidArgument, "bucket must be a width from 1s to 366d, such as 1m",
                "bucket");
  question.bucket = *bucket;
  return {};
}

/// Bounds what one answer may hold, before anything is read.
Status check_size(HistoryQuestion& question, size_t points_max) {
  const size_t each = points_max / std::max<size_t>(1, question.series.size());
  if (question.bucket) {
    const auto buckets =
        static_cast<size_t>((question.to - question.from).us / question.bucket->us + 1);
    if (buckets > each)
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("that is {} buckets a series where {} are allowed; take wider buckets, a "
                      "shorter time, or format csv or parquet",
                      buckets, each),
          "bucket");
  }
  question.limit = std::min(question.limit, std::max<size_t>(each, 1));
  return {};
}

Json column(const std::vector<double>& values) {
  Json out = Json::array();
  for (const double value : values) out.push_back(std::isfinite(value) ? Json(value) : Json());
  return out;
}

Json single_values(const SeriesAnswer& answer, const twin::SeriesInfo& info) {
  Json out = Json::array();
  if (info.kind == twin::ValueKind::kText || info.kind == twin::ValueKind::kObject) {
    for (const auto& text : answer.text) {
      auto parsed = info.kind == twin::ValueKind::kObject ? parse_json(text) : Result<Json>(text);
      out.push_back(parsed ? std::move(*parsed) : Json(text));
    }
    return out;
  }
  for (const double value : answer.number) {
    if (!std::isfinite(value))
      out.push_back(nullptr);
    else if (info.kind == twin::ValueKind::kBoolean)
      out.push_back(value != 0);
    else if (info.kind == twin::ValueKind::kInteger && std::fabs(value) < 9.0e15)
      out.push_back(static_cast<int64_t>(value));
    else
      out.push_back(value);
  }
  return out;
}

Json series_json(const SeriesAnswer& answer, const twin::SeriesInfo& info) {
  Json times = Json::array(), quality = Json::array();
  for (const Timestamp time : answer.time) times.push_back(time.us / 1000);
  for (const auto one : answer.quality) quality.push_back(twin::name(one));
  Json out = {{"twin", info.twin_name}, {"element", info.element},
              {"unit", info.unit},      {"type", twin::name(info.kind)},
              {"t", std::move(times)},  {"quality", std::move(quality)}};
  if (!answer.number.empty() || !answer.text.empty()) out["v"] = single_values(answer, info);
  for (const auto& [key, values] :
       {std::pair("avg", &answer.avg), std::pair("min", &answer.min), std::pair("max", &answer.max),
        std::pair("first", &answer.first), std::pair("last", &answer.last)})
    if (!values->empty()) out[key] = column(*values);
  if (!answer.count.empty()) out["count"] = answer.count;
  return out;
}

Json answer_json(const Asked& asked, const HistoryAnswer& answer) {
  Json series = Json::array(), gaps = Json::array();
  for (size_t i = 0; i < answer.series.size(); ++i) {
    series.push_back(series_json(answer.series[i], *asked.series[i]));
    for (const auto& gap : answer.series[i].gaps)
      gaps.push_back({{"twin", asked.series[i]->twin_name},
                      {"element", asked.series[i]->element},
                      {"from", to_rfc3339(gap.from)},
                      {"to", to_rfc3339(gap.to)}});
  }
  return {{"from", to_rfc3339(asked.question.from)},
          {"to", to_rfc3339(asked.question.to)},
          {"bucket_s", answer.bucket ? Json(answer.bucket->as_seconds()) : Json()},
          {"series", std::move(series)},
          {"gaps", std::move(gaps)},
          {"truncated", answer.truncated}};
}

// -- the history of one twin

Status choose_elements(const Services& services, const access::Principal& principal,
                       const twin::TwinRecord& twin, std::string_view list, Asked& asked) {
  const auto add = [&](const std::string& element) -> Status {
    TRY_ASSIGN(auto series, services.twins.series(principal.organisation, twin.name, element));
    asked.question.series.push_back(series->id);
    asked.series.push_back(std::move(series));
    return {};
  };
  const auto wanted = split_list(list);
  if (wanted.size() > kSeriesMax)
    return fail(ErrorCode::kInvalidArgument, "too many elements at once", "elements");
  for (const auto& element : wanted) TRY(add(element));
  if (wanted.empty())
    for (const auto& element : twin.model->elements)
      if (element.kind <= twin::ValueKind::kBoolean && !element.property) TRY(add(element.key));
  return {};
}

Result<Response> twin_history(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto twin,
             find_twin(services, call.principal, Permission::kReadTwins, call.parameter("id")));
  const auto value = [&](std::string_view field) {
    return call.request.query_value(field).value_or(std::string_view{});
  };
  Asked asked;
  TRY(choose_elements(services, call.principal, *twin, value("elements"), asked));
  TRY(read_times(asked.question, value("from"), value("to"), services.clock.now()));
  TRY(read_bucket(asked.question, value("bucket")));
  for (const auto& function : split_list(value("functions"))) {
    TRY_ASSIGN(const auto parsed, parse_function(function));
    asked.question.functions.push_back(parsed);
  }
  if (const auto points = value("points"); !points.empty()) {
    const auto [end, error] =
        std::from_chars(points.data(), points.data() + points.size(), asked.question.points);
    if (error != std::errc{} || end != points.data() + points.size() || asked.question.points < 2 ||
        asked.question.points > kPointsMax)
      return fail(ErrorCode::kInvalidArgument, "points must be from 2 to 100000", "points");
  } else if (!asked.question.bucket) {
    asked.question.points = kPointsDefault;
  }
  if (asked.question.bucket && asked.question.functions.empty())
    asked.question.functions = {HistoryFunction::kAvg, HistoryFunction::kMin, HistoryFunction::kMax,
                                HistoryFunction::kCount};
  TRY(check_size(asked.question, kJsonPointsMax));
  TRY_ASSIGN(const auto answer, services.history.query(asked.question, call.cancellation.flag()));
  return Response::json(answer_json(asked, answer));
}

// -- queries over many twins

/// Rows of CSV (RFC 4180) written as they are taken, so that the text of a large answer is never
/// whole in memory.
class CsvSource : public BodySource {
 public:
  CsvSource(Asked asked, HistoryAnswer answer)
      : asked_(std::move(asked)), answer_(std::move(answer)) {
    pending_ = "time,twin,element,unit";
    if (asked_.question.bucket) {
      for (const auto function : asked_.question.functions)
        pending_ += "," + std::string(name(function));
    } else {
      pending_ += ",value";
    }
    pending_ += ",quality\r\n";
  }

  Result<size_t> read(std::span<char> out) override {
    while (pending_.size() - taken_ < out.size() && series_ < answer_.series.size()) add_row();
    const size_t n = std::min(out.size(), pending_.size() - taken_);
    std::copy_n(pending_.begin() + static_cast<std::ptrdiff_t>(taken_), n, out.begin());
    taken_ += n;
    if (taken_ == pending_.size() || taken_ > 1U << 20) {
      pending_.erase(0, taken_);
      taken_ = 0;
    }
    return n;
  }

 private:
  static std::string quoted(std::string_view text) {
    if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"') out += '"';
      out += c;
    }
    return out + "\"";
  }
  void add_number(const std::vector<double>& column) {
    pending_ += ',';
    if (row_ < column.size() && std::isfinite(column[row_]))
      fmt::format_to(std::back_inserter(pending_), "{}", column[row_]);
  }
  void add_value(const SeriesAnswer& answer) {
    const auto& info = *asked_.series[series_];
    if (info.kind == twin::ValueKind::kText || info.kind == twin::ValueKind::kObject)
      pending_ += "," + (row_ < answer.text.size() ? quoted(answer.text[row_]) : std::string());
    else if (info.kind == twin::ValueKind::kBoolean && row_ < answer.number.size())
      pending_ += answer.number[row_] != 0 ? ",true" : ",false";
    else
      add_number(answer.number);
  }
  void add_row() {
    const SeriesAnswer& answer = answer_.series[series_];
    if (row_ >= answer.time.size()) {
      answer_.series[series_] = {};  // done with it: give the memory back
      ++series_;
      row_ = 0;
      return;
    }
    const auto& info = *asked_.series[series_];
    pending_ += to_rfc3339(answer.time[row_]);
    pending_ += "," + quoted(info.twin_name) + "," + quoted(info.element) + "," + quoted(info.unit);
    if (!asked_.question.bucket)
      add_value(answer);
    else
      for (const auto function : asked_.question.functions) add_function(answer, function);
    pending_ += ',';
    if (row_ < answer.quality.size()) pending_ += twin::name(answer.quality[row_]);
    pending_ += "\r\n";
    ++row_;
  }
  void add_function(const SeriesAnswer& answer, HistoryFunction function) {
    switch (function) {
      case HistoryFunction::kAvg:
        return add_number(answer.avg);
      case HistoryFunction::kMin:
        return add_number(answer.min);
      case HistoryFunction::kMax:
        return add_number(answer.max);
      case HistoryFunction::kFirst:
        return add_number(answer.first);
      case HistoryFunction::kLast:
        return add_number(answer.last);
      case HistoryFunction::kCount:
        break;
    }
    pending_ += ',';
    if (row_ < answer.count.size()) pending_ += std::to_string(answer.count[row_]);
  }

  Asked asked_;
  HistoryAnswer answer_;
  std::string pending_;
  size_t taken_ = 0, series_ = 0, row_ = 0;
};

Status read_series(const Services& services, const access::Principal& principal, BodyReader& body,
                   Asked& asked) {
  const Json& given = body.any("series");
  if (!given.is_array() || given.empty() || given.size() > kSeriesMax)
    return fail(ErrorCode::kInvalidArgument, "series must be a list of 1 to 1000 {twin, element}",
                "series");
  for (const Json& item : given) {
    if (!item.is_object())
      return fail(ErrorCode::kInvalidArgument, "series must be a list of {twin, element}",
                  "series");
    BodyReader one(item, "series.");
    const std::string reference = one.text("twin", 80), element = one.text("element", 500);
    TRY(one.done());
    TRY_ASSIGN(const auto twin,
               find_twin(services, principal, Permission::kExportHistory, reference));
    TRY_ASSIGN(auto series, services.twins.series(principal.organisation, twin->name, element));
    asked.question.series.push_back(series->id);
    asked.series.push_back(std::move(series));
  }
  return {};
}

Result<Asked> read_query(const Services& services, const Call& call, std::string& format) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  Asked asked;
  TRY(read_series(services, call.principal, body, asked));
  TRY(read_times(asked.question, body.optional_text("from", 40), body.optional_text("to", 40),
                 services.clock.now()));
  TRY(read_bucket(asked.question, body.optional_text("bucket", 40)));
  asked.question.points =
      static_cast<size_t>(body.maybe_integer("points", 2, kPointsMax).value_or(0));
  asked.question.limit =
      static_cast<size_t>(body.maybe_integer("limit", 1, 10'000'000).value_or(1'000'000));
  for (const auto& function :
       body.maybe_texts("functions", 6).value_or(std::vector<std::string>{})) {
    TRY_ASSIGN(const auto parsed, parse_function(function));
    asked.question.functions.push_back(parsed);
  }
  format = body.maybe_text("format", 20).value_or("json");
  if (format != "json" && format != "csv" && format != "parquet")
    body.complain("format", "must be json, csv or parquet");
  TRY(body.done());
  if (asked.question.bucket && asked.question.functions.empty())
    asked.question.functions = {HistoryFunction::kAvg};
  return asked;
}

Result<Response> parquet(const Services& services, const std::string& directory, const Asked& asked,
                         const Call& call) {
  const std::string path = directory + "/export_" + system_random().hex(8) + ".parquet";
  const Status done =
      services.history.export_parquet(asked.question, path, call.cancellation.flag());
  auto file = done ? open_file_body(path, true) : Result<std::unique_ptr<BodySource>>{};
  if (!done) {
    (void)system_files().remove(path);  // there may be half of it
    return fail(done.error());
  }
  if (!file) return fail(file.error());
  Response response = Response::text("", "application/vnd.apache.parquet");
  response.set("content-disposition", "attachment; filename=\"penstock.parquet\"");
  response.source = std::move(*file);
  return response;
}

Result<Response> query(const Services& services, const std::string& directory, const Call& call) {
  std::string format;
  TRY_ASSIGN(Asked asked, read_query(services, call, format));
  if (format == "parquet") return parquet(services, directory, asked, call);
  TRY(check_size(asked.question, format == "json" ? kJsonPointsMax : 10 * kJsonPointsMax));
  TRY_ASSIGN(auto answer, services.history.query(asked.question, call.cancellation.flag()));
  if (format == "json") return Response::json(answer_json(asked, answer));
  Response response = Response::text("", "text/csv; charset=utf-8");
  response.set("content-disposition", "attachment; filename=\"penstock.csv\"");
  if (answer.truncated) response.set("x-truncated", "true");
  response.source = std::make_unique<CsvSource>(std::move(asked), std::move(answer));
  return response;
}

}  // namespace

void add_history_routes(Router& router, const Services& services, const ApiOptions& options) {
  const RouteOptions slow{.lane = Lane::kSlow, .body_bytes_max = 1U << 20};
  add_route(
      router, Method::kGet, "/twins/{id}/history", Permission::kReadTwins,
      [services](const Call& call) { return twin_history(services, call); }, slow);
  add_route(
      router, Method::kPost, "/query", Permission::kExportHistory,
      [services, directory = options.export_directory](const Call& call) {
        return query(services, directory, call);
      },
      slow);
}

}  // namespace penstock::api
