// penstock query: history of any elements, for people and for files.

#include <cstdio>
#include <fstream>

#include <fmt/format.h>
#include <unistd.h>

#include "app/cli/resources.h"
#include "base/time.h"

namespace penstock::app::cli {
namespace {

struct QueryOptions {
  std::vector<std::string> series;
  std::string from = "-1h", to = "now", bucket, functions, format = "table", output;
  uint64_t points = 0, limit = 0;
};

Result<Json> body_of(const QueryOptions& o) {
  Json series = Json::array();
  for (const std::string& one : o.series) {
    const size_t slash = one.find('/');
    if (slash == std::string::npos || slash == 0 || slash + 1 == one.size())
      return fail(ErrorCode::kInvalidArgument, "a series is twin/element", one);
    series.push_back({{"twin", one.substr(0, slash)}, {"element", one.substr(slash + 1)}});
  }
  Json body{{"series", std::move(series)}, {"from", o.from}, {"to", o.to}};
  if (!o.bucket.empty()) body["bucket"] = o.bucket;
  if (o.points > 0) body["points"] = o.points;
  if (o.limit > 0) body["limit"] = o.limit;
  if (!o.functions.empty()) {
    Json functions = Json::array();
    for (size_t at = 0; at <= o.functions.size();) {
      const size_t end = std::min(o.functions.find(',', at), o.functions.size());
      functions.push_back(o.functions.substr(at, end - at));
      at = end + 1;
    }
    body["functions"] = std::move(functions);
  }
  body["format"] = o.format == "table" ? "json" : o.format;
  return body;
}

// A row a time and series, a column a statistic.
void print_table(const Json& answer) {
  std::vector<std::string> statistics;
  for (const char* name : {"v", "avg", "min", "max", "first", "last", "count"})
    for (const Json& one : answer.at("series"))
      if (one.contains(name)) {
        statistics.emplace_back(name);
        break;
      }
  std::vector<std::string> header{"time", "twin", "element"};
  for (const std::string& name : statistics) header.push_back(name == "v" ? "value" : name);
  header.insert(header.end(), {"unit", "quality"});
  Table table(header);
  for (const Json& one : answer.at("series"))
    for (size_t i = 0; i < one.at("t").size(); ++i) {
      std::vector<std::string> row{
          to_rfc3339(Timestamp::from_millis(one.at("t")[i].get<int64_t>())), cell(one, "twin"),
          cell(one, "element")};
      for (const std::string& name : statistics)
        row.push_back(one.contains(name) ? cell(one.at(name)[i]) : "-");
      row.push_back(cell(one, "unit"));
      row.push_back(one.contains("quality") && i < one.at("quality").size()
                        ? cell(one.at("quality")[i])
                        : "-");
      table.add(std::move(row));
    }
  fmt::print("{}", table.rows() == 0 ? "no samples in this time\n" : table.text());
  if (answer.value("truncated", false))
    fmt::print(stderr, "penstock: the answer was cut; ask for a shorter time or give --limit\n");
}

Status run(HttpClient& http, const QueryOptions& o) {
  TRY_ASSIGN(const Json body, body_of(o));
  if (o.format == "parquet" && o.output.empty() && ::isatty(STDOUT_FILENO) == 1)
    return fail(ErrorCode::kInvalidArgument, "Parquet is not for terminals: give --output FILE");
  TRY_ASSIGN(const HttpReply reply, http.send("POST", "/api/v1/query", body.dump()));
  if (reply.status != 200) {
    const auto problem = parse_json(reply.body);
    return fail(reply.status < 500 ? ErrorCode::kInvalidArgument : ErrorCode::kInternal,
                problem ? problem->value("detail", "the query was refused") : reply.body);
  }
  if (o.format == "table" && o.output.empty()) {
    TRY_ASSIGN(const Json answer, parse_json(reply.body));
    print_table(answer);
    return {};
  }
  if (o.output.empty()) {
    std::fwrite(reply.body.data(), 1, reply.body.size(), stdout);
    if (o.format == "json") fmt::print("\n");
    return {};
  }
  std::ofstream file(o.output, std::ios::binary);
  file << reply.body;
  file.close();
  if (!file) return fail(ErrorCode::kIo, "the file could not be written", o.output);
  fmt::print(stderr, "wrote {} bytes to {}\n", reply.body.size(), o.output);
  return {};
}

}  // namespace

void add_query(CLI::App& root) {
  const auto o = std::make_shared<QueryOptions>();
  auto* command = root.add_subcommand("query", "History as a table, CSV, JSON or Parquet");
  const auto server = std::make_shared<ServerOption>();
  command->add_option("series", o->series, "twin/element, as many as you like")->required();
  server->add_to(command);
  command->add_option("--from", o->from, "RFC 3339, or relative such as -24h")
      ->capture_default_str();
  command->add_option("--to", o->to, "RFC 3339, or now")->capture_default_str();
  command->add_option("--bucket", o->bucket, "Such as 10s, 1m, 1h, 1d (the site's day)");
  command->add_option("--points", o->points, "Thin to so many points that keep the picture");
  command->add_option("--functions", o->functions, "With --bucket: avg,min,max,first,last,count");
  command->add_option("--limit", o->limit, "Rows a series at most");
  command->add_option("--format", o->format)
      ->check(CLI::IsMember({"table", "csv", "json", "parquet"}))
      ->capture_default_str();
  command->add_option("--output", o->output, "File to write");
  on_run(command, [o, server]() -> Status {
    TRY_ASSIGN(HttpClient http, server->connect());
    return run(http, *o);
  });
}

}  // namespace penstock::app::cli
