#include "app/cli/opcua.h"

#include "app/cli/resources.h"

namespace penstock::app::cli {
namespace {

const std::vector<Column> kSource{
    {"name", "name"}, {"state", "state"}, {"detail", "detail"}, {"nodes", "nodes"}};
const std::vector<Column> kCertificate{{"thumbprint", "thumbprint"},
                                       {"state", "state"},
                                       {"subject", "subject"},
                                       {"until", "valid_to"}};
const std::vector<Column> kEndpoint{
    {"mode", "security_mode"}, {"policy", "security_policy"}, {"thumbprint", "thumbprint"}};
const std::vector<Column> kNode{{"node", "node"}, {"name", "display_name"}, {"class", "class"}};

// The state beside the name, for the table.
Json flat(Json source) {
  const Json status = source["status"].is_object() ? source["status"] : Json::object();
  source["state"] = status.value("state", "");
  source["detail"] = status.value("detail", "");
  return source;
}

void add_reading(CLI::App* group) {
  add_remote(group, "list", "All sources", [](HttpClient& http, const Remote& r) -> Status {
    TRY_ASSIGN(Json items, list_all(http, "/api/v1/opcua/sources"));
    for (Json& item : items) item = flat(item);
    print_items(items, kSource, r.json);
    return {};
  });
  add_remote(group, "certificates", "Certificates of servers, and whether they are trusted",
             [](HttpClient& http, const Remote& r) -> Status {
               TRY_ASSIGN(const Json found, http.get("/api/v1/opcua/certificates"));
               print_items(found.value("items", Json::array()), kCertificate, r.json);
               return {};
             });
  struct Place {
    std::string source, node, url;
  };
  const auto place = std::make_shared<Place>();
  auto* browse = add_remote(
      group, "browse", "Children of a node", [place](HttpClient& http, const Remote& r) -> Status {
        std::string path = api_path({"opcua", "sources", place->source, "browse"});
        add_query(path, "node", place->node);
        TRY_ASSIGN(const Json found, http.get(path));
        print_items(found.value("items", Json::array()), kNode, r.json);
        return {};
      });
  browse->add_option("source", place->source)->required();
  browse->add_option("node", place->node, "nsu=http://acme/;s=Pump; without it, Objects");
  auto* endpoints =
      add_remote(group, "endpoints", "What a server offers",
                 [place](HttpClient& http, const Remote& r) -> Status {
                   TRY_ASSIGN(const Json found,
                              http.post("/api/v1/opcua/endpoints", {{"endpoint_url", place->url}}));
                   print_items(found.value("items", Json::array()), kEndpoint, r.json);
                   return {};
                 });
  endpoints->add_option("url", place->url, "opc.tcp://host:4840")->required();
}

void add_changing(CLI::App* group) {
  struct Draft {
    std::string name, url, policy = "Basic256Sha256", mode = "SignAndEncrypt", user, password;
  };
  const auto draft = std::make_shared<Draft>();
  auto* add = add_remote(group, "add", "Add a server",
                         [draft](HttpClient& http, const Remote& r) -> Status {
                           Json document{{"endpoint_url", draft->url},
                                         {"security_mode", draft->mode},
                                         {"security_policy", draft->policy}};
                           if (!draft->user.empty()) {
                             document["user_kind"] = "password";
                             document["user_name"] = draft->user;
                           }
                           Json body{{"name", draft->name}, {"document", document}};
                           if (!draft->password.empty())
                             body["secrets"] = {{"password", draft->password}};
                           TRY_ASSIGN(Json made, http.post("/api/v1/opcua/sources", body));
                           print_one(flat(std::move(made)), kSource, r.json);
                           return {};
                         });
  add->add_option("name", draft->name, "Lower-case letters, digits and -")->required();
  add->add_option("url", draft->url, "opc.tcp://host:4840")->required();
  add->add_option("--security-mode", draft->mode)->capture_default_str();
  add->add_option("--security-policy", draft->policy)->capture_default_str();
  add->add_option("--user", draft->user, "Empty: anonymous");
  add->add_option("--password", draft->password)->envname("PENSTOCK_OPCUA_PASSWORD");

  const auto name = std::make_shared<std::string>();
  auto* remove =
      add_remote(group, "remove", "Stop reading a server",
                 [name](HttpClient& http, const Remote& r) -> Status {
                   TRY_ASSIGN(const Json reply, http.remove(api_path({"opcua", "sources", *name})));
                   print_done(reply, "removed " + *name, r.json);
                   return {};
                 });
  remove->add_option("name", *name)->required();

  for (const char* action : {"trust", "reject", "forget"}) {
    const auto thumbprint = std::make_shared<std::string>();
    auto* judge = add_remote(
        group, action, "Judge a server's certificate",
        [thumbprint, action](HttpClient& http, const Remote& r) -> Status {
          TRY_ASSIGN(const Json found, http.post(api_path({"opcua", "certificates", *thumbprint}),
                                                 {{"action", action}}));
          print_items(found.value("items", Json::array()), kCertificate, r.json);
          return {};
        });
    judge->add_option("thumbprint", *thumbprint)->required();
  }
}

}  // namespace

void add_opcua(CLI::App& root) {
  auto* group = root.add_subcommand("opcua", "OPC UA servers: add, list, browse, trust");
  group->require_subcommand(1);
  add_reading(group);
  add_changing(group);
}

}  // namespace penstock::app::cli
