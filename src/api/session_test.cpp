#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

class SessionTest : public ApiTest {
 protected:
  /// A request of a browser with that cookie.
  Request with_cookie(Method method, std::string_view target, const std::string& cookie,
                      const Json& body = nullptr) {
    Request request;
    request.method = method;
    EXPECT_TRUE(parse_target("/api/v1" + std::string(target), request));
    request.headers = {{"host", "penstock.test"},
                       {"cookie", "theme=dark; penstock_session=" + cookie + "; x=y"}};
    if (!body.is_null()) {
      request.headers.emplace_back("content-type", "application/json");
      request.body = body.dump();
    }
    return request;
  }
  static std::string cookie_of(const Reply& reply) {
    const auto header = std::string(reply.response.header("set-cookie"));
    EXPECT_TRUE(header.starts_with("penstock_session=")) << header;
    EXPECT_NE(header.find("HttpOnly"), std::string::npos);
    EXPECT_NE(header.find("SameSite=Strict"), std::string::npos);
    return header.substr(17, header.find(';') - 17);
  }
};

TEST_F(SessionTest, APersonSignsInActsAndSignsOut) {
  const Reply in = call(Method::kPost, "/session",
                        {{"email", "ann@example.org"}, {"password", "correct horse"}}, "");
  ASSERT_EQ(in.status, 200) << in.body;
  const std::string cookie = cookie_of(in), csrf = in.body["csrf"];
  EXPECT_EQ(in.body["user"]["name"], "Ann");
  EXPECT_EQ(in.body["role"], "administrator");
  EXPECT_FALSE(in.body["password_required"]);

  EXPECT_EQ(send(with_cookie(Method::kGet, "/sites", cookie)).status, 200);
  Request write = with_cookie(Method::kPost, "/sites", cookie, {{"name", "north"}});
  EXPECT_EQ(send(write).status, 403) << "a write without X-CSRF-Token";
  write.headers.emplace_back("x-csrf-token", std::string(csrf.size(), '0'));
  EXPECT_EQ(send(write).status, 403);
  write.headers.back().second = csrf;
  Request foreign = write;
  foreign.headers.emplace_back("origin", "http://evil.example");
  EXPECT_EQ(send(foreign).status, 403) << "another page's request";
  write.headers.emplace_back("origin", "http://penstock.test");
  EXPECT_EQ(send(write).status, 201);

  Request out = with_cookie(Method::kDelete, "/session", cookie);
  out.headers.emplace_back("x-csrf-token", csrf);
  const Reply gone = send(out);
  EXPECT_EQ(gone.status, 204);
  EXPECT_NE(gone.response.header("set-cookie").find("Max-Age=0"), std::string_view::npos);
  EXPECT_EQ(send(with_cookie(Method::kGet, "/sites", cookie)).status, 401);
}

TEST_F(SessionTest, WrongPasswordsLookAlike) {
  const auto attempt = [&](const std::string& email) {
    return call(Method::kPost, "/session", {{"email", email}, {"password", "wrong guess"}}, "");
  };
  const Reply known = attempt("ann@example.org"), unknown = attempt("bob@example.org");
  EXPECT_EQ(known.status, 401);
  EXPECT_EQ(unknown.status, 401);
  EXPECT_EQ(known.body["detail"], unknown.body["detail"]);
  for (int i = 0; i < 4; ++i) attempt("ann@example.org");
  const Reply locked = attempt("ann@example.org");
  EXPECT_EQ(locked.status, 429);
  EXPECT_FALSE(locked.response.header("retry-after").empty());
}

TEST_F(SessionTest, TheFirstAdministratorComesByLink) {
  EXPECT_EQ(call(Method::kGet, "/setup", nullptr, "").body["required"], false);
  EXPECT_EQ(call(Method::kPost, "/setup", {{"link_token", std::string(64, 'a')}}, "").status, 401);
}

TEST_F(SessionTest, APersonIsInvitedAndSetsThePassword) {
  const Reply made =
      post("/users", {{"name", "Bob"}, {"email", "bob@example.org"}, {"role", "operator"}});
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.body["link"],
            "http://penstock.test/#/welcome/" + made.body["link_token"].get<std::string>());
  const Reply in = call(Method::kPost, "/setup", {{"link_token", made.body["link_token"]}}, "");
  ASSERT_EQ(in.status, 200) << in.body;
  EXPECT_TRUE(in.body["password_required"]);
  EXPECT_EQ(in.body["permissions"], Json({"self"}));
  const std::string cookie = cookie_of(in);
  EXPECT_EQ(send(with_cookie(Method::kGet, "/sites", cookie)).status, 403) << "password first";
  Request set = with_cookie(Method::kPost, "/setup/password", cookie,
                            {{"name", "Bob"}, {"email", "bob@example.org"}, {"password", "short"}});
  set.headers.emplace_back("x-csrf-token", in.body["csrf"].get<std::string>());
  EXPECT_EQ(send(set).status, 400);
  set.body =
      Json{{"name", "Bob"}, {"email", "bob@example.org"}, {"password", "correct horse"}}.dump();
  EXPECT_EQ(send(set).status, 200);
  EXPECT_EQ(send(with_cookie(Method::kGet, "/sites", cookie)).status, 200);
  EXPECT_EQ(send(with_cookie(Method::kGet, "/users", cookie)).status, 403) << "an operator";

  const std::string id = made.body["user"]["id"];
  EXPECT_EQ(get("/users").body["items"].size(), 2u);
  EXPECT_EQ(get("/users?limit=1").body.contains("next_cursor"), true);
  EXPECT_EQ(patch("/users/" + id, {{"role", "engineer"}}).body["role"], "engineer");
  EXPECT_EQ(patch("/users/" + id, {{"role", "king"}}).status, 400);
  EXPECT_EQ(patch("/users/" + id, {{"rôle", "engineer"}}).status, 400)
      << "unknown members are refused";
  EXPECT_EQ(post("/users/" + id + "/link").status, 201);
  EXPECT_EQ(remove("/users/" + id).status, 204);
  EXPECT_EQ(get("/users/" + id).status, 404);
}

TEST_F(SessionTest, TokensAreShownOnceAndRevoked) {
  const Reply made =
      post("/tokens", {{"name", "grafana"}, {"role", "auditor"}, {"expires_in_days", 30}});
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string token = made.body["token"];
  EXPECT_EQ(call(Method::kGet, "/sites", nullptr, token).status, 200);
  EXPECT_EQ(call(Method::kPost, "/sites", {{"name", "n"}}, token).status, 403);
  const Reply list = get("/tokens");
  EXPECT_EQ(list.response.body.find(token), std::string::npos);
  EXPECT_EQ(call(Method::kGet, "/session", nullptr, token).body["csrf"], "");
  EXPECT_EQ(remove("/tokens/" + made.body["id"].get<std::string>()).status, 204);
  EXPECT_EQ(call(Method::kGet, "/sites", nullptr, token).status, 401);
}

TEST_F(SessionTest, ChangesThePassword) {
  EXPECT_EQ(post("/session/password",
                 {{"current_password", "nope nope nope"}, {"new_password", "battery staple"}})
                .status,
            403);
  EXPECT_EQ(post("/session/password",
                 {{"current_password", "correct horse"}, {"new_password", "battery staple"}})
                .status,
            204);
  EXPECT_EQ(call(Method::kPost, "/session",
                 {{"email", "ann@example.org"}, {"password", "battery staple"}}, "")
                .status,
            200);
}

}  // namespace
}  // namespace penstock::api::testing
