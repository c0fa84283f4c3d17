#pragma once
// What the commands about sites, devices, models, rules and alarms share: a group of subcommands
// that speak with a server and print a table, or the server's JSON.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/cli/cli.h"
#include "app/cli/table.h"

namespace penstock::app::cli {

/// A subcommand's options: the server, and --json.
struct Remote {
  ServerOption server;
  bool json = false;
};

/// Adds a subcommand with --server, --token, --data and --json; `work` runs with a connection.
CLI::App* add_remote(CLI::App* group, const char* name, const char* what,
                     std::function<Status(HttpClient& http, const Remote& remote)> work);

/// "/api/v1" + path, each part encoded.
std::string api_path(std::initializer_list<std::string> parts);
/// Adds ?key=value, or &…; nothing for an empty value.
void add_query(std::string& path, const std::string& key, const std::string& value);

/// All pages of a list: its items in one array.
Result<Json> list_all(HttpClient& http, std::string path);

/// A column: its title and the member it shows.
using Column = std::pair<std::string, std::string>;
/// Prints items as JSON ({"items": […]}) or as a table; "none" below an empty one.
void print_items(const Json& items, const std::vector<Column>& columns, bool json);
/// Prints one thing as JSON, or a line a member.
void print_one(const Json& thing, const std::vector<Column>& rows, bool json);
/// "done" in the way asked for: JSON of the server, or the sentence.
void print_done(const Json& reply, const std::string& sentence, bool json);

/// One JSON document from a file; errors name it.
Result<Json> read_json_file(const std::string& path);

}  // namespace penstock::app::cli
