// penstock binding: documents that map wire addresses to elements, and a tap to try them on.

#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "app/cli/resources.h"
#include "base/io.h"

namespace penstock::app::cli {
namespace {

const std::vector<Column> kColumns{{"binding", "name"},          {"protocol", "protocol"},
                                   {"model", "model"},           {"topic", "topic"},
                                   {"active", "active_version"}, {"latest", "latest_version"},
                                   {"devices", "devices"},       {"updated", "updated_at"}};
const std::vector<Column> kVersionColumns{{"version", "version"},
                                          {"active", "active"},
                                          {"saved by", "saved_by"},
                                          {"saved at", "saved_at"},
                                          {"activated by", "activated_by"},
                                          {"activated at", "activated_at"},
                                          {"note", "note"}};
const std::vector<Column> kValueColumns{
    {"address", "address"}, {"wire", "wire"},       {"element", "element"}, {"stored", "stored"},
    {"unit", "unit"},       {"quality", "quality"}, {"time", "time"},       {"reason", "reason"}};

// What a payload came to: the samples, or the reason.
void print_tried(const Json& tried) {
  if (tried["device"].is_string()) fmt::print("device  {}\n", tried["device"].get<std::string>());
  if (tried["reason"].is_string()) {
    fmt::print("refused: {}{}\n", tried["reason"].get<std::string>(),
               tried["about"].is_string() ? " (" + tried["about"].get<std::string>() + ")" : "");
    return;
  }
  print_items(tried["values"], kValueColumns, false);
}

// The version that devices use, else the newest.
Result<Json> document_of(HttpClient& http, const std::string& name) {
  TRY_ASSIGN(const Json binding, http.get(api_path({"bindings", name})));
  const Json& versions = binding.at("versions");
  for (const Json& version : versions)
    if (version["active"] == true) return version["document"];
  return versions.at(0)["document"];
}

struct Try {
  std::string file, topic, payload, payload_file, model;
};

void add_try(CLI::App* group) {
  const auto t = std::make_shared<Try>();
  auto* command = add_remote(
      group, "try", "What a document makes of a payload; nothing is stored",
      [t](HttpClient& http, const Remote& r) -> Status {
        TRY_ASSIGN(const Json document, read_json_file(t->file));
        Json body{{"document", document}, {"topic", t->topic}, {"payload", t->payload}};
        if (!t->model.empty()) body["model"] = t->model;
        if (!t->payload_file.empty()) {
          TRY_ASSIGN(const std::string bytes, read_file(system_files(), t->payload_file, 1 << 20));
          std::string hex;
          for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
          body.erase("payload");
          body["payload_hex"] = hex;
        }
        TRY_ASSIGN(const Json tried, http.post("/api/v1/bindings/try", body));
        if (r.json)
          fmt::print("{}\n", tried.dump());
        else
          print_tried(tried);
        return {};
      });
  command->add_option("file", t->file, "The document, JSON")->required()->check(CLI::ExistingFile);
  command->add_option("--topic", t->topic, "Where the message came in");
  command->add_option("--payload", t->payload, "As text");
  command->add_option("--payload-file", t->payload_file, "Bytes of a file")
      ->check(CLI::ExistingFile);
  command->add_option("--model", t->model, "Default: the one that the document names");
}

struct Tap {
  std::string filter, device, binding, file;
  uint64_t count = 0;
  double seconds = 0;
};

// One message, and what the document makes of it.
Status show_tapped(HttpClient& http, const Json& message, const Json& document, bool json) {
  Json tried;
  if (!document.is_null()) {
    Json body{{"document", document}, {"topic", message["topic"]}};
    if (message["payload"].is_string())
      body["payload"] = message["payload"];
    else
      body["payload_base64"] = message["payload_base64"];
    TRY_ASSIGN(tried, http.post("/api/v1/bindings/try", body));
  }
  if (json) {
    Json line = message;
    if (!document.is_null()) line["tried"] = tried;
    fmt::print("{}\n", line.dump());
  } else {
    const std::string payload = message["payload"].is_string()
                                    ? message["payload"].get<std::string>()
                                    : "base64 " + message["payload_base64"].get<std::string>();
    fmt::print(
        "{}  {}{}\n{}\n", message["received"].get<std::string>(),
        message["topic"].get<std::string>(),
        message["bridge"].is_string() ? "  through " + message["bridge"].get<std::string>() : "",
        payload);
    if (!document.is_null()) print_tried(tried);
  }
  std::fflush(stdout);
  return {};
}

Status run_tap(HttpClient& http, const Tap& tap, bool json) {
  Json document;
  if (!tap.file.empty()) {
    TRY_ASSIGN(document, read_json_file(tap.file));
  } else if (!tap.binding.empty()) {
    TRY_ASSIGN(document, document_of(http, tap.binding));
  }
  watch_for_interrupt();
  const auto begin = std::chrono::steady_clock::now();
  uint64_t after = 0, shown = 0;
  while (!interrupted()) {
    std::string path = "/api/v1/messages";
    add_query(path, "filter", tap.filter);
    add_query(path, "device", tap.device);
    add_query(path, "after", std::to_string(after));
    TRY_ASSIGN(const Json reply, http.get(path));
    after = reply["after"].get<uint64_t>();
    for (const Json& message : reply["items"]) {
      TRY(show_tapped(http, message, document, json));
      if (++shown == tap.count) return {};
    }
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    if (tap.seconds > 0 && passed.count() >= tap.seconds) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
  }
  return {};
}

void add_tap(CLI::App* group) {
  const auto tap = std::make_shared<Tap>();
  auto* command = add_remote(
      group, "tap", "Messages as they come, and what a binding makes of them, until Ctrl-C",
      [tap](HttpClient& http, const Remote& r) -> Status {
        if (tap->filter.empty() && tap->device.empty())
          return fail(ErrorCode::kInvalidArgument, "give a topic filter, or --device");
        return run_tap(http, *tap, r.json);
      });
  command->add_option("filter", tap->filter, "MQTT topic filter, such as 'plant/+/data'");
  command->add_option("--device", tap->device, "Only what is for this device");
  command->add_option("--binding", tap->binding, "Try this binding's active version on each");
  command->add_option("--file", tap->file, "Try this document on each")->check(CLI::ExistingFile);
  command->add_option("--count", tap->count, "End after so many");
  command->add_option("--seconds", tap->seconds, "End after so long");
}

void add_save(CLI::App* group) {
  struct Save {
    std::string file, note;
    bool activate = false;
  };
  const auto s = std::make_shared<Save>();
  auto* command = add_remote(
      group, "save", "Save a document as a new version, a draft",
      [s](HttpClient& http, const Remote& r) -> Status {
        TRY_ASSIGN(const Json document, read_json_file(s->file));
        const Json body{{"document", document}, {"note", s->note}, {"activate", s->activate}};
        TRY_ASSIGN(const Json saved, http.post("/api/v1/bindings", body));
        print_done(
            saved,
            fmt::format("saved {} version {}{}", saved["name"].get<std::string>(),
                        saved["latest_version"].get<int>(), s->activate ? ", which is active" : ""),
            r.json);
        return {};
      });
  command->add_option("file", s->file, "The document, JSON")->required()->check(CLI::ExistingFile);
  command->add_option("--note", s->note, "Why");
  command->add_flag("--activate", s->activate, "Let devices use it at once");
}

Status activate(HttpClient& http, const std::string& name, int version, bool json) {
  TRY_ASSIGN(const Json done,
             http.post(api_path({"bindings", name, "activate"}), {{"version", version}}));
  print_done(done, fmt::format("{} uses version {}", name, version), json);
  return {};
}

// The version that was active before the present one.
Status roll_back(HttpClient& http, const std::string& name, bool json) {
  TRY_ASSIGN(const Json binding, http.get(api_path({"bindings", name})));
  const Json* before = nullptr;
  for (const Json& version : binding.at("versions"))
    if (version["active"] != true && version["activated_at"].is_string() &&
        (!before ||
         version["activated_at"].get<std::string>() > (*before)["activated_at"].get<std::string>()))
      before = &version;
  if (!before) return fail(ErrorCode::kConflict, "no other version was active before", name);
  return activate(http, name, (*before)["version"].get<int>(), json);
}

void add_versions(CLI::App* group, const std::shared_ptr<std::string>& name) {
  const auto version = std::make_shared<int>(0);
  const auto from_to = std::make_shared<std::pair<std::string, std::string>>();
  auto* diff =
      add_remote(group, "diff", "What changed between the active version and the newest",
                 [name, from_to](HttpClient& http, const Remote& r) -> Status {
                   std::string path = api_path({"bindings", *name, "changes"});
                   add_query(path, "from", from_to->first);
                   add_query(path, "to", from_to->second);
                   TRY_ASSIGN(const Json changes, http.get(path));
                   if (r.json) {
                     fmt::print("{}\n", changes.dump());
                     return {};
                   }
                   print_items(changes["changes"],
                               {{"what", "op"}, {"where", "path"}, {"to", "value"}}, false);
                   return {};
                 });
  diff->add_option("--from", from_to->first, "Version; default: the active one");
  diff->add_option("--to", from_to->second, "Version; default: the newest");
  auto* use = add_remote(group, "activate", "Let devices use a version",
                         [name, version](HttpClient& http, const Remote& r) {
                           return activate(http, *name, *version, r.json);
                         });
  auto* back = add_remote(
      group, "rollback", "Let devices use the version that was active before",
      [name](HttpClient& http, const Remote& r) { return roll_back(http, *name, r.json); });
  for (auto* command : {diff, use, back}) command->add_option("name", *name)->required();
  use->add_option("version", *version)->required();
}

}  // namespace

void add_binding(CLI::App& root) {
  auto* group = root.add_subcommand(
      "binding", "Bindings: list, show, save, try, tap, diff, activate, rollback, delete");
  group->require_subcommand(1);
  const auto name = std::make_shared<std::string>();
  add_remote(group, "list", "All bindings", [](HttpClient& http, const Remote& r) -> Status {
    TRY_ASSIGN(const Json items, list_all(http, "/api/v1/bindings"));
    print_items(items, kColumns, r.json);
    return {};
  });
  auto* show = add_remote(group, "show", "A binding's active document and its versions",
                          [name](HttpClient& http, const Remote& r) -> Status {
                            TRY_ASSIGN(const Json binding, http.get(api_path({"bindings", *name})));
                            if (r.json) {
                              fmt::print("{}\n", binding.dump());
                              return {};
                            }
                            TRY_ASSIGN(const Json document, document_of(http, *name));
                            fmt::print("{}\n\n", document.dump(2));
                            print_items(binding["versions"], kVersionColumns, false);
                            return {};
                          });
  add_save(group);
  add_try(group);
  add_tap(group);
  add_versions(group, name);
  auto* remove =
      add_remote(group, "delete", "Delete a binding that no device uses",
                 [name](HttpClient& http, const Remote& r) -> Status {
                   TRY_ASSIGN(const Json reply, http.remove(api_path({"bindings", *name})));
                   print_done(reply, "deleted " + *name, r.json);
                   return {};
                 });
  for (auto* command : {show, remove}) command->add_option("name", *name)->required();
}

}  // namespace penstock::app::cli
