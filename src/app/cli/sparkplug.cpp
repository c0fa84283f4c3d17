// penstock sparkplug: edge nodes, and what a payload says.

#include "app/cli/sparkplug.h"

#include <fstream>
#include <iostream>
#include <iterator>

#include <fmt/format.h>

#include "app/cli/resources.h"
#include "interop/sparkplug/text.h"

namespace penstock::app::cli {
namespace {

const std::vector<Column> kNodes{{"group", "group"},
                                 {"node", "node"},
                                 {"state", "state"},
                                 {"bdSeq", "bdseq"},
                                 {"seq", "seq"},
                                 {"last birth", "last_birth"},
                                 {"metrics", "metrics"},
                                 {"behind it", "devices"},
                                 {"out of order", "out_of_order"},
                                 {"gaps", "gaps"},
                                 {"late", "late"},
                                 {"rejected", "rejected_metrics"},
                                 {"rebirths", "rebirths_asked"}};

void add_nodes(CLI::App* group) {
  add_remote(group, "nodes", "All edge nodes, and how they stand with this host",
             [](HttpClient& http, const Remote& r) -> Status {
               TRY_ASSIGN(const Json reply, http.get("/api/v1/sparkplug/nodes"));
               Json items = reply.at("items");
               if (!r.json)
                 for (Json& node : items) node["devices"] = node["devices"].size();
               print_items(items, kNodes, r.json);
               return {};
             });
}

void add_rebirth(CLI::App* group) {
  const auto name = std::make_shared<std::pair<std::string, std::string>>();
  auto* rebirth = add_remote(
      group, "rebirth", "Ask an edge node for its births",
      [name](HttpClient& http, const Remote& r) -> Status {
        TRY_ASSIGN(const Json reply,
                   http.post(api_path({"sparkplug", "nodes", name->first, name->second, "rebirth"}),
                             Json::object()));
        print_done(reply, "asked " + name->first + "/" + name->second, r.json);
        return {};
      });
  rebirth->add_option("group", name->first, "Its group")->required();
  rebirth->add_option("node", name->second, "Its name in the group")->required();
}

Result<std::string> read_all(const std::string& path) {
  if (path == "-")
    return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::kNotFound, "there is no such file to read", path);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

void add_decode(CLI::App* group) {
  const auto path = std::make_shared<std::string>();
  auto* decode = group->add_subcommand("decode", "A payload's bytes as JSON; needs no server");
  decode->add_option("file", *path, "The payload's bytes; - reads standard input")->required();
  on_run(decode, [path]() -> Status {
    TRY_ASSIGN(const std::string payload, read_all(*path));
    std::string out;
    if (!interop::sparkplug::append_payload(out, as_bytes(payload)))
      return fail(ErrorCode::kInvalidArgument, "these bytes are no Sparkplug B payload", *path);
    fmt::print("{}\n", out);
    return {};
  });
}

}  // namespace

void add_sparkplug(CLI::App& root) {
  auto* group = root.add_subcommand("sparkplug", "Sparkplug edge nodes: nodes, rebirth, decode");
  group->require_subcommand(1);
  add_nodes(group);
  add_rebirth(group);
  add_decode(group);
}

}  // namespace penstock::app::cli
