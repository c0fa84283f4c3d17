// penstock lwm2m: clients and what is asked of them, keys, bootstrap, firmware, objects.

#include "app/cli/lwm2m.h"

#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>

#include <fmt/format.h>
#include <sodium.h>

#include "app/cli/resources.h"

namespace penstock::app::cli {
namespace {

constexpr const char* kBase = "lwm2m";

Result<std::string> read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorCode::kNotFound, "the file cannot be read", path);
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

std::string to_base64(const std::string& bytes) {
  std::string out(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                    bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  out.pop_back();
  return out;
}

// JSON where it reads as such, else text: 20, true, {"5850": true}, warm.
Json value_of(const std::string& text) {
  auto read = parse_json(text);
  return read ? *std::move(read) : Json(text);
}

void print_operation(const Json& done, bool json) {
  if (json) {
    fmt::print("{}\n", done.dump());
    return;
  }
  fmt::print("{}  {}\n", done.value("status", ""), done.value("detail", ""));
  if (const Json& values = done.at("values"); values.is_array())
    print_items(values,
                {{"path", "path"}, {"name", "name"}, {"value", "value"}, {"units", "units"}},
                false);
  if (const Json& links = done.at("links"); links.is_array())
    print_items(links, {{"path", "path"}, {"attributes", "attributes"}}, false);
  if (done.value("status", "") == "waiting") fmt::print("operation {}\n", done.value("id", ""));
}

struct Asked {
  std::string endpoint, value, arguments, format;
  std::vector<std::string> paths, attributes;
  bool partial = false;
  int64_t wait_s = 10;
};

Result<Json> body_of(const std::string& operation, const Asked& asked) {
  Json body{{"operation", operation}, {"paths", asked.paths}, {"wait_s", asked.wait_s}};
  if (!asked.value.empty()) body["value"] = value_of(asked.value);
  if (!asked.arguments.empty()) body["arguments"] = asked.arguments;
  if (!asked.format.empty()) body["format"] = asked.format;
  if (asked.partial) body["replace"] = false;
  for (const std::string& attribute : asked.attributes) {
    const size_t equals = attribute.find('=');
    if (equals == std::string::npos)
      return fail(ErrorCode::kInvalidArgument, "an attribute is as in pmin=10", attribute);
    body["attributes"][attribute.substr(0, equals)] = value_of(attribute.substr(equals + 1));
  }
  return body;
}

CLI::App* add_operation(CLI::App* group, const char* name, const char* what, const char* operation,
                        const std::shared_ptr<Asked>& asked) {
  auto* command = add_remote(
      group, name, what, [asked, operation](HttpClient& http, const Remote& r) -> Status {
        TRY_ASSIGN(const Json body, body_of(operation, *asked));
        TRY_ASSIGN(const Json done,
                   http.post(api_path({kBase, "clients", asked->endpoint, "operations"}), body));
        print_operation(done, r.json);
        if (done.value("status", "") == "failed")
          return fail(ErrorCode::kUnavailable, "the device did not do it",
                      done.value("detail", std::string()));
        return {};
      });
  command->add_option("endpoint", asked->endpoint, "The client's endpoint name")->required();
  command->add_option("--wait", asked->wait_s, "Seconds to wait for the device")
      ->check(CLI::Range(0, 60))
      ->capture_default_str();
  return command;
}

void add_operations(CLI::App* group) {
  const auto make = [&](const char* name, const char* what, const char* operation) {
    const auto asked = std::make_shared<Asked>();
    return std::pair(add_operation(group, name, what, operation, asked), asked);
  };
  const auto paths = [](const auto& made) {
    made.first->add_option("paths", made.second->paths, "/3303/0/5700; several: composite")
        ->required();
  };
  const auto read = make("read", "Read resources", "read");
  paths(read);
  read.first->add_option("--format", read.second->format, "text, tlv, senml-json, senml-cbor …");
  paths(make("discover", "What an object, instance or resource has", "discover"));
  paths(make("delete", "Delete an instance", "delete"));
  const auto observe = make("observe", "Have changes sent", "observe");
  paths(observe);
  observe.first->add_option("--attribute", observe.second->attributes, "pmin=10, pmax=60, gt=25 …");
  paths(make("cancel", "No longer have changes sent", "cancel-observe"));
  const auto attributes = make("attributes", "Write attributes", "write-attributes");
  attributes.first->add_option("paths", attributes.second->paths)->required()->expected(1);
  attributes.first->add_option("attribute", attributes.second->attributes, "pmin=10 …")->required();
  const auto execute = make("execute", "Execute a resource", "execute");
  execute.first->add_option("path", execute.second->paths)->required()->expected(1);
  execute.first->add_option("arguments", execute.second->arguments, "0='5' …");
  for (const bool creates : {false, true}) {
    const auto write = creates ? make("create", "Create an instance", "create")
                               : make("write", "Write a resource or an instance", "write");
    write.first->add_option("path", write.second->paths, "/ for a composite write")
        ->required()
        ->expected(1);
    write.first
        ->add_option("value", write.second->value, "A value, or JSON such as {\"5850\": true}")
        ->required();
    write.first->add_option("--format", write.second->format, "text, tlv, senml-json, senml-cbor");
    if (!creates)
      write.first->add_flag("--partial", write.second->partial, "What is not named stays");
  }
}

void add_credentials(CLI::App* group) {
  auto* credentials = group->add_subcommand("credentials", "Pre-shared keys: list, add, remove");
  credentials->require_subcommand(1);
  const auto endpoint = std::make_shared<std::string>();
  auto* list = add_remote(credentials, "list", "Identities, without keys",
                          [endpoint](HttpClient& http, const Remote& r) -> Status {
                            std::string path = api_path({kBase, "credentials"});
                            add_query(path, "endpoint", *endpoint);
                            TRY_ASSIGN(const Json found, http.get(path));
                            print_items(found.at("items"),
                                        {{"identity", "identity"},
                                         {"endpoint", "endpoint"},
                                         {"bootstrap", "bootstrap"},
                                         {"created", "created_at"}},
                                        r.json);
                            return {};
                          });
  list->add_option("--endpoint", *endpoint);
  struct Draft {
    std::string endpoint, identity, key;
    bool bootstrap = false;
  };
  const auto draft = std::make_shared<Draft>();
  auto* add =
      add_remote(credentials, "add", "Make a key; it is shown once",
                 [draft](HttpClient& http, const Remote& r) -> Status {
                   Json body{{"endpoint", draft->endpoint}, {"bootstrap", draft->bootstrap}};
                   if (!draft->identity.empty()) body["identity"] = draft->identity;
                   if (!draft->key.empty()) body["key_hex"] = draft->key;
                   TRY_ASSIGN(const Json made, http.post(api_path({kBase, "credentials"}), body));
                   print_one(made, {{"identity", "identity"}, {"key (hex)", "key_hex"}}, r.json);
                   return {};
                 });
  add->add_option("endpoint", draft->endpoint)->required();
  add->add_option("--identity", draft->identity, "The endpoint's name if none");
  add->add_option("--key", draft->key, "Hexadecimal; 16 random bytes if none");
  add->add_flag("--bootstrap", draft->bootstrap, "For the bootstrap interface");
  const auto identity = std::make_shared<std::string>();
  auto* remove = add_remote(credentials, "remove", "Remove a key and end its sessions",
                            [identity](HttpClient& http, const Remote& r) -> Status {
                              TRY_ASSIGN(const Json reply,
                                         http.remove(api_path({kBase, "credentials", *identity})));
                              print_done(reply, "removed " + *identity, r.json);
                              return {};
                            });
  remove->add_option("identity", *identity)->required();
}

void add_bootstrap(CLI::App* group) {
  auto* bootstrap = group->add_subcommand("bootstrap", "What devices are told at bootstrap");
  bootstrap->require_subcommand(1);
  const auto endpoint = std::make_shared<std::string>();
  const auto file = std::make_shared<std::string>();
  auto* set = add_remote(
      bootstrap, "set", "Say what a device is told",
      [endpoint, file](HttpClient& http, const Remote& r) -> Status {
        TRY_ASSIGN(const Json document, read_json_file(*file));
        TRY_ASSIGN(const Json saved,
                   http.put(api_path({kBase, "bootstrap", *endpoint}), {{"document", document}}));
        print_done(saved, "saved for " + *endpoint, r.json);
        return {};
      });
  set->add_option("endpoint", *endpoint)->required();
  set->add_option("file", *file, "JSON; docs/lwm2m.md shows it")->required();
  auto* show = add_remote(bootstrap, "show", "The document and how it went",
                          [endpoint](HttpClient& http, const Remote&) -> Status {
                            TRY_ASSIGN(const Json found,
                                       http.get(api_path({kBase, "bootstrap", *endpoint})));
                            fmt::print("{}\n", found.dump());
                            return {};
                          });
  show->add_option("endpoint", *endpoint)->required();
  auto* remove = add_remote(
      bootstrap, "remove", "Forget it", [endpoint](HttpClient& http, const Remote& r) -> Status {
        TRY_ASSIGN(const Json reply, http.remove(api_path({kBase, "bootstrap", *endpoint})));
        print_done(reply, "removed", r.json);
        return {};
      });
  remove->add_option("endpoint", *endpoint)->required();
}

const std::vector<Column> kFirmware{
    {"step", "step"},   {"method", "method"}, {"sent", "bytes_sent"}, {"of", "bytes"},
    {"state", "state"}, {"result", "result"}, {"detail", "detail"}};

void add_firmware(CLI::App* group) {
  struct Wanted {
    std::string endpoint, file, uri, method = "auto";
    bool download_only = false, wait = false;
  };
  const auto wanted = std::make_shared<Wanted>();
  auto* firmware = add_remote(
      group, "firmware", "Update the firmware, or show how an update stands",
      [wanted](HttpClient& http, const Remote& r) -> Status {
        const std::string path = api_path({kBase, "clients", wanted->endpoint, "firmware"});
        Json job;
        if (wanted->file.empty() && wanted->uri.empty()) {
          TRY_ASSIGN(job, http.get(path));
        } else {
          Json body{{"method", wanted->method}, {"apply", !wanted->download_only}};
          if (wanted->uri.empty()) {
            TRY_ASSIGN(const std::string bytes, read_bytes(wanted->file));
            body["package_base64"] = to_base64(bytes);
          } else {
            body["uri"] = wanted->uri;
          }
          TRY_ASSIGN(job, http.post(path, body));
        }
        const auto over = [&] {
          const std::string step = job.value("step", "");
          return step == "done" || step == "failed";
        };
        while (wanted->wait && !over() && !interrupted()) {
          std::this_thread::sleep_for(std::chrono::milliseconds(500));
          TRY_ASSIGN(job, http.get(path));
        }
        print_one(job, kFirmware, r.json);
        if (job.value("step", "") == "failed")
          return fail(ErrorCode::kUnavailable, "the update failed", job.value("detail", ""));
        return {};
      });
  firmware->add_option("endpoint", wanted->endpoint)->required();
  firmware->add_option("file", wanted->file, "The package; none: show how it stands");
  firmware->add_option("--uri", wanted->uri, "Instead: where the device finds it");
  firmware->add_option("--method", wanted->method, "auto, push or pull")->capture_default_str();
  firmware->add_flag("--download-only", wanted->download_only, "Do not execute the update");
  firmware->add_flag("--wait", wanted->wait, "Until it is done or has failed");
}

void add_objects(CLI::App* group) {
  const auto ddf = std::make_shared<std::string>();
  auto* objects = add_remote(
      group, "objects", "Definitions of objects; --add a DDF file",
      [ddf](HttpClient& http, const Remote& r) -> Status {
        Json found;
        if (ddf->empty()) {
          TRY_ASSIGN(found, http.get(api_path({kBase, "objects"})));
        } else {
          TRY_ASSIGN(const std::string xml, read_bytes(*ddf));
          TRY_ASSIGN(found, http.post(api_path({kBase, "objects"}), {{"ddf", xml}}));
        }
        print_items(found.at("items"),
                    {{"id", "id"}, {"name", "name"}, {"version", "version"}, {"from", "source"}},
                    r.json);
        return {};
      });
  objects->add_option("--add", *ddf, "XML file of the LwM2M editor or registry");
}

}  // namespace

void add_lwm2m(CLI::App& root) {
  auto* group = root.add_subcommand("lwm2m", "LwM2M: clients, operations, keys, firmware");
  group->require_subcommand(1);
  const std::vector<Column> columns{{"endpoint", "endpoint"},   {"device", "device"},
                                    {"version", "version"},     {"transport", "transport"},
                                    {"address", "address"},     {"awake", "awake"},
                                    {"last seen", "last_seen"}, {"expires in s", "expires_in_s"}};
  add_remote(group, "clients", "Registered clients",
             [columns](HttpClient& http, const Remote& r) -> Status {
               TRY_ASSIGN(const Json items, list_all(http, api_path({kBase, "clients"})));
               print_items(items, columns, r.json);
               return {};
             });
  const auto endpoint = std::make_shared<std::string>();
  auto* show = add_remote(
      group, "show", "A client with objects and observations",
      [endpoint, columns](HttpClient& http, const Remote& r) -> Status {
        TRY_ASSIGN(const Json client, http.get(api_path({kBase, "clients", *endpoint})));
        print_one(client, columns, r.json);
        if (r.json) return {};
        print_items(client.at("objects"),
                    {{"object", "path"}, {"name", "name"}, {"version", "version"}}, false);
        print_items(client.at("observations"),
                    {{"observed", "paths"},
                     {"state", "state"},
                     {"notifications", "notifications"},
                     {"detail", "detail"}},
                    false);
        return {};
      });
  show->add_option("endpoint", *endpoint)->required();
  auto* propose = add_remote(
      group, "propose", "A DTDL interface and a binding for its objects",
      [endpoint](HttpClient& http, const Remote&) -> Status {
        TRY_ASSIGN(const Json found, http.get(api_path({kBase, "clients", *endpoint, "proposal"})));
        fmt::print("{}\n", found.dump());
        return {};
      });
  propose->add_option("endpoint", *endpoint)->required();
  add_operations(group);
  add_credentials(group);
  add_bootstrap(group);
  add_firmware(group);
  add_objects(group);
}

}  // namespace penstock::app::cli
