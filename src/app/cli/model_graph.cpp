// penstock model graph, usage, compare: how models hang together, and whom a change breaks.

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "app/cli/resources.h"

namespace penstock::app::cli {
namespace {

// Each interface with what it names, a line each.
void print_graph(const Json& graph) {
  std::map<std::string, std::vector<const Json*>> named;
  for (const Json& edge : graph.at("edges")) named[edge.at("from")].push_back(&edge);
  for (const Json& node : graph.at("nodes")) {
    const std::string id = node.at("id");
    fmt::print("{}{}\n", id,
               node.at("known") == false
                   ? "  (not known here)"
                   : fmt::format("  {} elements, {} twins", node.at("elements").get<size_t>(),
                                 node.at("twins").get<size_t>()));
    for (const Json* edge : named[id])
      fmt::print("  {} {}{}\n", edge->at("kind").get<std::string>(),
                 edge->at("name").is_null() ? "" : edge->at("name").get<std::string>() + ": ",
                 edge->at("to").get<std::string>());
  }
  if (graph.at("truncated") == true)
    fmt::print("there are more: name one with --model to see what is around it\n");
}

// One list of what uses a model or is affected; says so where this role may not see it.
void print_counted(const char* title, const Json& list, const std::vector<Column>& columns) {
  if (list.is_null()) {
    fmt::print("\n{}: not with this role\n", title);
    return;
  }
  const size_t count = list.at("count"), shown = list.at("items").size();
  fmt::print("\n{}: {}{}\n", title, count,
             shown < count ? fmt::format(", the first {}", shown) : "");
  if (count > 0) print_items(list.at("items"), columns, false);
}

void print_usage(const Json& usage) {
  std::string versions;
  for (const Json& version : usage.at("versions"))
    versions += (versions.empty() ? "" : ", ") + version.get<std::string>();
  fmt::print("versions: {}\n", versions);
  print_counted("models", usage.at("models"), {{"model", "id"}, {"by", "kind"}, {"name", "name"}});
  print_counted("twins", usage.at("twins"),
                {{"twin", "name"}, {"site", "site"}, {"model", "model"}, {"device", "device"}});
  print_counted("bindings", usage.at("bindings"),
                {{"binding", "name"}, {"protocol", "protocol"}, {"devices", "devices"}});
  print_counted("rules", usage.at("rules"),
                {{"rule", "id"}, {"kind", "kind"}, {"by", "reach"}, {"alarm", "text"}});
}

void print_comparison(const Json& found) {
  fmt::print("{}: {} breaking, {} to look at, {} compatible\n\n",
             found.at("verdict").get<std::string>(), found.at("breaking").get<size_t>(),
             found.at("attention").get<size_t>(), found.at("compatible").get<size_t>());
  print_items(found.at("changes"),
              {{"severity", "severity"},
               {"element", "element"},
               {"change", "kind"},
               {"before", "before"},
               {"after", "after"},
               {"why", "reason"}},
              false);
  const Json& affected = found.at("affected");
  print_counted("twins of the first", affected.at("twins"),
                {{"twin", "name"}, {"site", "site"}, {"device", "device"}});
  const std::vector<Column> why{
      {"name", "name"}, {"severity", "severity"}, {"element", "element"}, {"why", "reason"}};
  print_counted("devices with names of their own", affected.at("devices"), why);
  print_counted("bindings", affected.at("bindings"), why);
  print_counted("rules", affected.at("rules"),
                {{"rule", "id"},
                 {"alarm", "text"},
                 {"severity", "severity"},
                 {"element", "element"},
                 {"why", "reason"}});
  print_counted("models that name the first", affected.at("models"),
                {{"model", "id"}, {"by", "kind"}, {"name", "name"}});
}

}  // namespace

void add_model_graph(CLI::App& model) {
  const auto centre = std::make_shared<std::string>();
  const auto depth = std::make_shared<size_t>(2);
  auto* graph = add_remote(&model, "graph", "Which model extends, contains or points at which",
                           [centre, depth](HttpClient& http, const Remote& r) -> Status {
                             std::string path = "/api/v1/models/graph";
                             add_query(path, "model", *centre);
                             if (!centre->empty())
                               add_query(path, "depth", fmt::format("{}", *depth));
                             TRY_ASSIGN(const Json found, http.get(path));
                             r.json ? print_one(found, {}, true) : print_graph(found);
                             return {};
                           });
  graph->add_option("--model", *centre, "Only what is around this model");
  graph->add_option("--depth", *depth, "Steps around it")
      ->check(CLI::Range(0, 12))
      ->capture_default_str();

  const auto dtmi = std::make_shared<std::string>();
  auto* usage =
      add_remote(&model, "usage", "Models, twins, bindings and rules that use a model",
                 [dtmi](HttpClient& http, const Remote& r) -> Status {
                   TRY_ASSIGN(const Json found, http.get(api_path({"models", *dtmi, "usage"})));
                   r.json ? print_one(found, {}, true) : print_usage(found);
                   return {};
                 });
  usage->add_option("dtmi", *dtmi, "Such as dtmi:penstock:ScrewCompressor;1")->required();

  const auto from = std::make_shared<std::string>(), to = std::make_shared<std::string>();
  const auto strict = std::make_shared<bool>(false);
  auto* compare =
      add_remote(&model, "compare", "What differs between two models, and whom it breaks",
                 [from, to, strict](HttpClient& http, const Remote& r) -> Status {
                   std::string path = "/api/v1/models/compare";
                   add_query(path, "from", *from);
                   add_query(path, "to", *to);
                   TRY_ASSIGN(const Json found, http.get(path));
                   r.json ? print_one(found, {}, true) : print_comparison(found);
                   if (*strict && found.at("verdict") == "breaking") exit_code = 1;
                   return {};
                 });
  compare->add_option("from", *from, "The model that is there: dtmi:penstock:Pump;1")->required();
  compare->add_option("to", *to, "The one that follows: dtmi:penstock:Pump;2")->required();
  compare->add_flag("--strict", *strict, "Exit code 1 where something breaks");
}

}  // namespace penstock::app::cli
