// What holds for every route: contract, credentials, methods, entity tags, errors.

#include "api/api.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "api/openapi.h"
#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

/// A target for a pattern, with something for each parameter.
std::string fill(std::string pattern) {
  for (auto open = pattern.find('{'); open != std::string::npos; open = pattern.find('{'))
    pattern.replace(open, pattern.find('}') - open + 1, "x_1");
  return pattern;
}

TEST_F(ApiTest, RouterAndContractNameTheSameRoutes) {
  std::set<std::string> declared, served;
  for (const auto& operation : operations())
    declared.insert(std::string(name(operation.method)) + " " + operation.path + " " +
                    (operation.permission.empty() ? "open" : operation.permission));
  for (const auto& route : api->router().routes())
    served.insert(std::string(name(route.method)) + " " + route.pattern + " " +
                  (route.permission ? std::string(access::name(*route.permission)) : "open"));
  served.insert("GET /api/v1/live twin.read");  // a WebSocket: Api::upgrade
  for (const auto& one : declared) EXPECT_TRUE(served.contains(one)) << "not served: " << one;
  for (const auto& one : served) EXPECT_TRUE(declared.contains(one)) << "not declared: " << one;
}

TEST_F(ApiTest, EveryRouteButTheOpenOnesWantsCredentials) {
  size_t closed = 0;
  for (const auto& operation : operations()) {
    if (operation.path == "/api/v1/live") continue;
    for (const std::string token : {"", "pst_nonsense"}) {
      Request request;
      request.method = operation.method;
      ASSERT_TRUE(parse_target(fill(operation.path), request));
      request.headers = {{"host", "h"}};
      if (!token.empty()) request.headers.emplace_back("authorization", "Bearer " + token);
      request.peer_address =
          "192.0.2." + std::to_string(closed % 250);  // or the guesses would be limited
      const Reply reply = send(request);
      if (operation.open)
        EXPECT_NE(reply.status, 401) << operation.path;
      else
        EXPECT_EQ(reply.status, 401) << name(operation.method) << " " << operation.path;
      closed += !operation.open;
    }
  }
  EXPECT_GT(closed, 80u);
}

TEST_F(ApiTest, EveryRouteAsksForItsPermission) {
  const std::string partner = token_of(access::Role::kPartner);
  size_t refused = 0;
  for (const auto& operation : operations()) {
    // Without a permission: open, or with a device's credentials.
    if (operation.permission.empty() || operation.path == "/api/v1/live") continue;
    bool allowed = false;
    for (size_t i = 0; i < access::kPermissions; ++i)
      if (access::name(static_cast<access::Permission>(i)) == operation.permission)
        allowed = access::allows(access::Role::kPartner, static_cast<access::Permission>(i));
    if (allowed) continue;
    Request request;
    request.method = operation.method;
    ASSERT_TRUE(parse_target(fill(operation.path), request));
    request.headers = {{"host", "h"}, {"authorization", "Bearer " + partner}};
    EXPECT_EQ(send(request).status, 403) << name(operation.method) << " " << operation.path;
    ++refused;
  }
  EXPECT_GT(refused, 30u);
}

TEST_F(ApiTest, NoRouteFallsOverNonsense) {
  // Every route with every kind of wrong body and query: an error that says so, never a 5xx.
  const std::string bodies[] = {"{\"limit\":2e999999}",
                                "",
                                "{",
                                "[]",
                                "null",
                                "{\"x\":1}",
                                "\"text\"",
                                "[[[[[[",
                                "{\"name\":5,\"id\":[],\"site\":{},\"twin\":7,\"series\":9}",
                                std::string(200, '[')};
  for (const auto& operation : operations()) {
    if (operation.path == "/api/v1/live" || operation.path == "/api/v1/session" ||
        operation.path == "/metrics")
      continue;
    for (const auto& body : bodies)
      for (const std::string query :
           {"", "?limit=0&cursor=%25&from=x&to=y&points=z&q=%22&bucket=-1"}) {
        Request request;
        request.method = operation.method;
        ASSERT_TRUE(parse_target(fill(operation.path) + query, request));
        request.headers = {{"host", "h"},
                           {"authorization", "Bearer " + admin},
                           {"content-type", "application/json"}};
        request.body = body;
        const int status = send(request).status;
        // 503 is said on purpose, by protocols that are not switched on here.
        EXPECT_TRUE(status < 500 || status == 503) << status << " " << name(operation.method) << " "
                                                   << operation.path << query << " " << body;
      }
  }
}

TEST_F(ApiTest, WrongMethodsAndAddresses) {
  const Reply wrong = call(Method::kDelete, "/health", nullptr, admin);
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.response.header("allow"), "OPTIONS, GET, HEAD");
  EXPECT_EQ(call(Method::kOptions, "/sites", nullptr, "").status, 204);
  EXPECT_EQ(get("/nothing").status, 404);
  EXPECT_EQ(get("/nothing").body["code"], "not_found");
  EXPECT_EQ(get("/sites/north/").status, 404) << "a slash at the end is the same address";
  EXPECT_EQ(call(Method::kOther, "/sites", nullptr, admin).status, 405);
  Request page;
  page.method = Method::kPost;
  page.path = page.raw_path = "/";
  EXPECT_EQ(send(page).status, 405);
}

TEST_F(ApiTest, BodiesMustBeJsonOfABearableSize) {
  Request request;
  ASSERT_TRUE(parse_target("/api/v1/sites", request));
  request.method = Method::kPost;
  request.headers = {{"authorization", "Bearer " + admin}, {"content-type", "text/plain"}};
  request.body = R"({"name":"north"})";
  EXPECT_EQ(send(request).status, 415) << "a form of another page can send text/plain";
  request.headers.back().second = "application/json; charset=utf-8";
  EXPECT_EQ(send(request).status, 201);
  request.body = "{\"name\":\"" + std::string(300'000, 'a') + "\"}";
  EXPECT_EQ(send(request).status, 413);
}

TEST_F(ApiTest, EntityTagsSaveWorkAndLostUpdates) {
  ASSERT_EQ(post("/sites", {{"name", "north"}}).status, 201);
  const Reply first = get("/sites/north");
  const std::string tag(first.response.header("etag"));
  ASSERT_FALSE(tag.empty());
  Request request;
  ASSERT_TRUE(parse_target("/api/v1/sites/north", request));
  request.headers = {{"authorization", "Bearer " + admin}, {"if-none-match", "W/" + tag}};
  EXPECT_EQ(send(request).status, 304);
  ASSERT_EQ(patch("/sites/north", {{"description", "changed"}}).status, 200);
  EXPECT_EQ(send(request).status, 200);

  request.method = Method::kPatch;
  request.headers = {{"authorization", "Bearer " + admin},
                     {"content-type", "application/json"},
                     {"if-match", tag}};
  request.body = R"({"description":"over it"})";
  const Reply lost = send(request);
  EXPECT_EQ(lost.status, 412);
  EXPECT_EQ(lost.body["code"], "precondition_failed");
  EXPECT_EQ(get("/sites/north").body["description"], "changed");
}

TEST_F(ApiTest, HealthIsOpenAndSpeaksPlainly) {
  const Reply fine = call(Method::kGet, "/health", nullptr, "");
  EXPECT_EQ(fine.status, 200);
  EXPECT_EQ(fine.body["status"], "ok");
  EXPECT_EQ(fine.body["version"], "0.1.0");
  views.checks.push_back({"disk", stream::HealthStatus::kDegraded, "2 % free"});
  EXPECT_EQ(call(Method::kGet, "/health", nullptr, "").body["status"], "degraded");
  views.checks.push_back({"journal", stream::HealthStatus::kFailing, "cannot write"});
  const Reply failing = call(Method::kGet, "/health", nullptr, "");
  EXPECT_EQ(failing.status, 503);
  EXPECT_EQ(failing.body["checks"].size(), 3u);
}

TEST_F(ApiTest, MetricsAreOpenOnThisHostOnly) {
  Request request;
  ASSERT_TRUE(parse_target("/metrics", request));
  EXPECT_EQ(send(request).status, 401);
  request.peer_is_loopback = true;
  EXPECT_EQ(send(request).status, 200);
  request.headers = {{"x-forwarded-for", "203.0.113.9"}};
  EXPECT_EQ(send(request).status, 401) << "a proxy on this host speaks for somebody else";
  request.headers = {{"authorization", "Bearer " + admin}};
  request.peer_is_loopback = false;
  EXPECT_EQ(send(request).status, 200);
}

TEST_F(ApiTest, ServesItsDescription) {
  const Reply reply = call(Method::kGet, "/openapi.json", nullptr, "");
  EXPECT_EQ(reply.response.body, openapi_document());
}

// -- the page's files

class PageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/penstock_page_XXXXXX";
    directory_ = ::mkdtemp(name);
    std::filesystem::create_directories(directory_ + "/dist/assets");
    write("dist/index.html", "<html>index</html>");
    write("dist/assets/app-1f2e.js", "script");
    write("dist/assets/app-1f2e.js.br", "brotli");
    write("dist/assets/app-1f2e.js.gz", "gzip");
    write("secret.txt", "secret");
    write("dist/.env", "secret");
    std::filesystem::create_symlink(directory_ + "/secret.txt", directory_ + "/dist/link.txt");
    files_ = std::make_unique<StaticFiles>(directory_ + "/dist");
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  void write(const std::string& path, std::string_view text) {
    std::ofstream(directory_ + "/" + path) << text;
  }
  Response serve(std::string_view target, Fields headers = {}) {
    Request request;
    EXPECT_TRUE(parse_target(target, request));
    request.headers = std::move(headers);
    return files_->serve(request);
  }
  std::string directory_;
  std::unique_ptr<StaticFiles> files_;
};

TEST_F(PageTest, ServesFilesWithTheirEncodings) {
  const auto plain = serve("/assets/app-1f2e.js");
  EXPECT_EQ(plain.body, "script");
  EXPECT_EQ(plain.header("content-type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(plain.header("cache-control"), "public, max-age=31536000, immutable");
  EXPECT_EQ(serve("/assets/app-1f2e.js", {{"accept-encoding", "gzip, deflate, br"}}).body,
            "brotli");
  EXPECT_EQ(serve("/assets/app-1f2e.js", {{"accept-encoding", "gzip, br;q=0"}}).body, "gzip");
  const auto index = serve("/");
  EXPECT_EQ(index.body, "<html>index</html>");
  EXPECT_EQ(index.header("cache-control"), "no-cache");
  EXPECT_EQ(serve("/", {{"if-none-match", std::string(index.header("etag"))}}).status, 304);
}

TEST_F(PageTest, LetsThePageRouteByItself) {
  EXPECT_EQ(serve("/sites/north").body, "<html>index</html>");
  EXPECT_EQ(serve("/missing.js").status, 404);
}

TEST_F(PageTest, NothingOutsideIsReachable) {
  for (const std::string_view target :
       {"/../secret.txt", "/assets/../../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt",
        "/.env", "/link.txt", "//secret.txt", "/assets/..%5c..%5csecret.txt"})
    EXPECT_EQ(serve(target).body.find("secret\n"), std::string::npos) << target;
  for (const std::string_view target :
       {"/../secret.txt", "/%2e%2e/secret.txt", "/.env", "/link.txt"})
    EXPECT_EQ(serve(target).status, 404) << target;
}

TEST(EmptyPage, SaysHowToBuildIt) {
  StaticFiles none("");
  Request request;
  ASSERT_TRUE(parse_target("/", request));
  EXPECT_NE(none.serve(request).body.find("make web"), std::string::npos);
}

}  // namespace
}  // namespace penstock::api::testing
