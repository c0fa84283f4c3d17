#include "app/cli/resources.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/io.h"

namespace penstock::app::cli {

CLI::App* add_remote(CLI::App* group, const char* name, const char* what,
                     std::function<Status(HttpClient&, const Remote&)> work) {
  CLI::App* command = group->add_subcommand(name, what);
  const auto remote = std::make_shared<Remote>();
  remote->server.add_to(command);
  command->add_flag("--json", remote->json, "The server's JSON, on one line");
  on_run(command, [remote, work = std::move(work)]() -> Status {
    TRY_ASSIGN(HttpClient http, remote->server.connect());
    return work(http, *remote);
  });
  return command;
}

std::string api_path(std::initializer_list<std::string> parts) {
  std::string path = "/api/v1";
  for (const std::string& part : parts) path += "/" + url_encode(part);
  return path;
}

void add_query(std::string& path, const std::string& key, const std::string& value) {
  if (value.empty()) return;
  path += (path.find('?') == std::string::npos ? '?' : '&') + key + "=" + url_encode(value);
}

Result<Json> list_all(HttpClient& http, std::string path) {
  add_query(path, "limit", "500");
  Json items = Json::array();
  for (std::string page = path;;) {
    TRY_ASSIGN(const Json reply, http.get(page));
    for (const Json& item : reply.at("items")) items.push_back(item);
    const auto next = reply.find("next_cursor");
    if (next == reply.end() || next->is_null()) return items;
    page = path;
    add_query(page, "cursor", next->get<std::string>());
  }
}

void print_items(const Json& items, const std::vector<Column>& columns, bool json) {
  if (json) {
    fmt::print("{}\n", Json{{"items", items}}.dump());
    return;
  }
  std::vector<std::string> header;
  for (const Column& column : columns) header.push_back(column.first);
  Table table(header);
  for (const Json& item : items) {
    std::vector<std::string> row;
    for (const Column& column : columns) row.push_back(cell(item, column.second));
    table.add(std::move(row));
  }
  fmt::print("{}", table.rows() == 0 ? "none\n" : table.text());
}

void print_one(const Json& thing, const std::vector<Column>& rows, bool json) {
  if (json) {
    fmt::print("{}\n", thing.dump());
    return;
  }
  size_t width = 0;
  for (const Column& row : rows) width = std::max(width, row.first.size());
  for (const Column& row : rows)
    fmt::print("{:<{}}  {}\n", row.first, width, cell(thing, row.second));
}

void print_done(const Json& reply, const std::string& sentence, bool json) {
  fmt::print("{}\n", json ? (reply.is_null() ? std::string("{}") : reply.dump()) : sentence);
}

Result<Json> read_json_file(const std::string& path) {
  TRY_ASSIGN(const std::string text, read_file(system_files(), path, 64 << 20));
  auto json = parse_json(text);
  if (!json) return fail(ErrorCode::kInvalidArgument, json.error().message, path);
  return json;
}

}  // namespace penstock::app::cli
