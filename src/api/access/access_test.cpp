#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "api/access/access_control.h"

namespace penstock::api::access {
namespace {

class HandClock : public Clock {
 public:
  [[nodiscard]] Timestamp now() const override { return now_; }
  [[nodiscard]] int64_t monotonic_us() const override { return now_.us; }
  void pass(Duration time) { now_ = now_ + time; }

 private:
  Timestamp now_ = Timestamp::from_seconds(1'800'000'000);
};

class AccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/penstock_access_XXXXXX";
    directory_ = ::mkdtemp(name);
    auto registry = store::Registry::open(directory_ + "/registry.db");
    ASSERT_TRUE(registry) << registry.error().text();
    registry_ = std::move(*registry);
    reopen();
  }
  void TearDown() override {
    access_.reset();
    registry_.reset();
    std::filesystem::remove_all(directory_);
  }
  void reopen() {
    AccessOptions options;
    options.data_directory = directory_;
    options.cost = {1, 8192};  // the least that Argon2id takes: tests are not about its cost
    auto access = AccessControl::open(*registry_, clock_, system_random(), options);
    ASSERT_TRUE(access) << access.error().text();
    access_ = std::move(*access);
  }
  /// An administrator ann@example.org with password "correct horse".
  Principal set_up() {
    auto link = access_->make_setup_link();
    EXPECT_TRUE(link && *link);
    auto in = access_->claim_link(**link, "10.0.0.1");
    EXPECT_TRUE(in) << in.error().text();
    auto principal =
        access_->set_password(in->principal, "Ann", "Ann@Example.org", "correct horse");
    EXPECT_TRUE(principal) << principal.error().text();
    return *principal;
  }
  Result<Principal> with_cookie(const std::string& token) {
    return access_->authenticate({.session_cookie = token, .bearer = {}, .address = "10.0.0.1"});
  }
  Result<Principal> with_bearer(const std::string& token, bool loopback = false,
                                std::string_view address = "10.0.0.1") {
    return access_->authenticate(
        {.session_cookie = {}, .bearer = token, .address = address, .loopback = loopback});
  }

  std::string directory_;
  HandClock clock_;
  std::unique_ptr<store::Registry> registry_;
  std::unique_ptr<AccessControl> access_;
};

TEST_F(AccessTest, TheSetupLinkWorksOnceAndOnlyUntilThereIsAnAdministrator) {
  const auto first = access_->make_setup_link();
  ASSERT_TRUE(first && *first);
  const auto second = access_->make_setup_link();  // the next start
  ASSERT_TRUE(second && *second);
  EXPECT_FALSE(access_->claim_link(**first, "a")) << "an older link must end";
  const auto in = access_->claim_link(**second, "a");
  ASSERT_TRUE(in) << in.error().text();
  EXPECT_TRUE(in->principal.password_required);
  EXPECT_FALSE(access_->claim_link(**second, "a")) << "used up";
  EXPECT_EQ(authorize(in->principal, Permission::kReadTwins).error().code,
            ErrorCode::kPermissionDenied);
  EXPECT_TRUE(authorize(in->principal, Permission::kSelf));
  EXPECT_TRUE(*access_->setup_required());
  const auto again = access_->make_setup_link();
  ASSERT_TRUE(again && *again) << "claimed but no password: the next start offers it again";
  ASSERT_TRUE(access_->set_password(in->principal, "Ann", "ann@example.org", "correct horse"));
  EXPECT_FALSE(*access_->setup_required());
  const auto none = access_->make_setup_link();
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  const auto now = with_cookie(in->session_token);
  ASSERT_TRUE(now);
  EXPECT_FALSE(now->password_required);
  EXPECT_TRUE(authorize(*now, Permission::kWriteUsers));
}

TEST_F(AccessTest, SignsInAndOut) {
  set_up();
  const auto in = access_->sign_in("ANN@example.org", "correct horse", "a");
  ASSERT_TRUE(in) << in.error().text();
  const auto who = with_cookie(in->session_token);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->name, "Ann");
  EXPECT_EQ(who->csrf, in->principal.csrf);
  EXPECT_EQ(who->csrf.size(), 40u);
  EXPECT_FALSE(with_bearer(in->session_token)) << "a cookie's secret is no bearer token";
  ASSERT_TRUE(access_->sign_out(*who));
  EXPECT_EQ(with_cookie(in->session_token).error().code, ErrorCode::kUnauthenticated);
  EXPECT_EQ(with_cookie("").error().code, ErrorCode::kUnauthenticated);
}

TEST_F(AccessTest, SessionsEndByAgeAndByIdling) {
  set_up();
  const auto in = access_->sign_in("ann@example.org", "correct horse", "a");
  ASSERT_TRUE(in);
  for (int hour = 0; hour < 160; hour += 10) {  // used every ten hours: alive for a week
    EXPECT_TRUE(with_cookie(in->session_token)) << hour;
    clock_.pass(Duration::hours(10));
  }
  clock_.pass(Duration::hours(10));
  EXPECT_FALSE(with_cookie(in->session_token)) << "older than a week";
  const auto idle = access_->sign_in("ann@example.org", "correct horse", "a");
  clock_.pass(Duration::hours(13));
  EXPECT_FALSE(with_cookie(idle->session_token)) << "idle for longer than twelve hours";
}

TEST_F(AccessTest, AnAccountWaitsAfterWrongPasswordsAndOpensAgain) {
  set_up();
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(access_->sign_in("ann@example.org", "wrong guess", "a").error().code,
              ErrorCode::kUnauthenticated);
  EXPECT_EQ(access_->sign_in("ann@example.org", "correct horse", "b").error().code,
            ErrorCode::kResourceExhausted);
  clock_.pass(Duration::seconds(61));
  EXPECT_TRUE(access_->sign_in("ann@example.org", "correct horse", "b"));
  EXPECT_EQ(access_->sign_in("ann@example.org", "wrong guess", "b").error().code,
            ErrorCode::kUnauthenticated)
      << "a right password starts the count again";
}

TEST_F(AccessTest, AnAddressThatGuessesWaits) {
  set_up();
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(with_bearer("pst_guess" + std::to_string(i)));
  EXPECT_EQ(with_bearer("pst_other").error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(access_->sign_in("ann@example.org", "correct horse", "10.0.0.1").error().code,
            ErrorCode::kResourceExhausted);
  EXPECT_TRUE(access_->sign_in("ann@example.org", "correct horse", "10.0.0.2"));
  clock_.pass(Duration::minutes(1));
  EXPECT_TRUE(access_->sign_in("ann@example.org", "correct horse", "10.0.0.1"));
}

TEST_F(AccessTest, RefusesWeakPasswordsAndBrokenEmails) {
  const auto in = access_->claim_link(**access_->make_setup_link(), "a");
  ASSERT_TRUE(in);
  const auto code = [&](const std::string& email, const std::string& password) {
    const auto done = access_->set_password(in->principal, "Ann", email, password);
    return done ? "accepted" : std::string(name(done.error().code));
  };
  EXPECT_EQ(code("ann@example.org", "short"), "invalid_argument");
  EXPECT_EQ(code("ann@example.org", "aaaaaaaaaaaa"), "invalid_argument");
  EXPECT_EQ(code("ann@example.org", "Password123"), "invalid_argument");
  EXPECT_EQ(code("ann@example.org", "ann@example.org"), "invalid_argument");
  EXPECT_EQ(code("ann", "correct horse"), "invalid_argument");
  EXPECT_EQ(code("@example.org", "correct horse"), "invalid_argument");
  EXPECT_EQ(code("a@b@c", "correct horse"), "invalid_argument");
  EXPECT_EQ(code("ann@example.org", "correct horse"), "accepted");
}

TEST_F(AccessTest, TokensWorkUntilRevokedOrExpired) {
  const Principal ann = set_up();
  const auto made = access_->create_token(ann, "grafana", Role::kAuditor, Timestamp());
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_TRUE(made->secret.starts_with("pst_"));
  EXPECT_EQ(made->secret.size(), 68u);
  const auto who = with_bearer(made->secret);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->role, Role::kAuditor);
  EXPECT_FALSE(authorize(*who, Permission::kWriteRules));
  ASSERT_TRUE(access_->delete_token(made->token.id, ann.user));
  EXPECT_FALSE(with_bearer(made->secret)) << "a revoked token must not live on in a memory";
  const auto brief =
      access_->create_token(ann, "brief", Role::kOperator, clock_.now() + Duration::seconds(2));
  EXPECT_TRUE(with_bearer(brief->secret));
  clock_.pass(Duration::seconds(3));
  EXPECT_FALSE(with_bearer(brief->secret));
  EXPECT_EQ(access_->delete_token(made->token.id, ann.user).error().code, ErrorCode::kNotFound);
}

TEST_F(AccessTest, UsersComeByLinkAndGoForGood) {
  const Principal ann = set_up();
  const auto made = access_->create_user("Bob", "bob@example.org", Role::kTechnician, {SiteId(7)});
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ(access_->create_user("B", "BOB@example.org", Role::kTechnician, {}).error().code,
            ErrorCode::kAlreadyExists);
  EXPECT_FALSE(access_->sign_in("bob@example.org", "", "a")) << "no default password";
  const auto in = access_->claim_link(made->link_token, "a");
  ASSERT_TRUE(in);
  EXPECT_FALSE(access_->set_password(in->principal, "Bob", "eve@example.org", "correct horse"));
  const auto bob = access_->set_password(in->principal, "Bob", "bob@example.org", "correct horse");
  ASSERT_TRUE(bob) << bob.error().text();
  EXPECT_EQ(authorize(*bob, Permission::kReadTwins, SiteId(8)).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(authorize(*bob, Permission::kReadTwins, SiteId(7)));
  const auto token = access_->create_token(*bob, "phone", Role::kTechnician, Timestamp());
  ASSERT_TRUE(token);
  EXPECT_FALSE(access_->create_token(*bob, "phone", Role::kAdministrator, Timestamp()));
  EXPECT_EQ(access_->delete_token(token->token.id, ann.user).error().code, ErrorCode::kNotFound)
      << "not hers";

  ASSERT_TRUE(access_->update_user(bob->user, {.role = Role::kOperator}));
  EXPECT_FALSE(with_bearer(token->secret)) << "the token's role is not his any more";
  EXPECT_EQ(with_cookie(in->session_token)->role, Role::kOperator);
  ASSERT_TRUE(access_->update_user(bob->user, {.disabled = true}));
  EXPECT_FALSE(with_cookie(in->session_token));
  EXPECT_FALSE(access_->sign_in("bob@example.org", "correct horse", "a"));
  ASSERT_TRUE(access_->delete_user(bob->user));
  EXPECT_EQ(access_->users(UserId(), 10)->size(), 1u);
}

TEST_F(AccessTest, TheLastAdministratorStays) {
  const Principal ann = set_up();
  EXPECT_EQ(access_->delete_user(ann.user).error().code, ErrorCode::kConflict);
  EXPECT_EQ(access_->update_user(ann.user, {.role = Role::kOperator}).error().code,
            ErrorCode::kConflict);
  EXPECT_EQ(access_->update_user(ann.user, {.disabled = true}).error().code, ErrorCode::kConflict);
}

TEST_F(AccessTest, ANewPasswordEndsOtherSessions) {
  set_up();
  const auto one = access_->sign_in("ann@example.org", "correct horse", "a");
  const auto two = access_->sign_in("ann@example.org", "correct horse", "a");
  ASSERT_TRUE(one && two);
  EXPECT_EQ(access_->change_password(one->principal, "wrong guess", "battery staple").error().code,
            ErrorCode::kPermissionDenied);
  ASSERT_TRUE(access_->change_password(one->principal, "correct horse", "battery staple"));
  EXPECT_TRUE(with_cookie(one->session_token));
  EXPECT_FALSE(with_cookie(two->session_token));
  EXPECT_FALSE(access_->sign_in("ann@example.org", "correct horse", "a"));
  EXPECT_TRUE(access_->sign_in("ann@example.org", "battery staple", "a"));
}

TEST_F(AccessTest, TheLocalTokenIsForThisHostAndThisStart) {
  const auto read = [&] {
    std::ifstream in(directory_ + "/admin.token");
    std::string token;
    in >> token;
    return token;
  };
  struct stat status{};
  ASSERT_EQ(::stat((directory_ + "/admin.token").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  const std::string first = read();
  const auto who = with_bearer(first, true, "127.0.0.1");
  ASSERT_TRUE(who) << who.error().text();
  EXPECT_EQ(who->role, Role::kAdministrator);
  EXPECT_FALSE(with_bearer(first, false)) << "not from elsewhere";
  reopen();
  EXPECT_NE(read(), first);
  EXPECT_FALSE(with_bearer(first, true, "127.0.0.1"));
}

TEST_F(AccessTest, SecretsAreStoredAsHashesOnly) {
  set_up();
  const auto in = access_->sign_in("ann@example.org", "correct horse", "a");
  ASSERT_TRUE(in);
  access_.reset();
  registry_.reset();
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    EXPECT_EQ(bytes.find(in->session_token), std::string::npos) << entry.path();
    EXPECT_EQ(bytes.find("correct horse"), std::string::npos) << entry.path();
  }
}

TEST(Permissions, EveryRoleAndPermissionHasAName) {
  for (size_t i = 0; i < kRoles; ++i) {
    const auto role = static_cast<Role>(i);
    EXPECT_EQ(parse_role(name(role)), role);
    EXPECT_TRUE(allows(role, Permission::kSelf));
    EXPECT_EQ(allows(role, Permission::kWriteUsers), role == Role::kAdministrator);
  }
  for (size_t i = 0; i < kPermissions; ++i) {
    EXPECT_FALSE(name(static_cast<Permission>(i)).empty());
    EXPECT_TRUE(allows(Role::kAdministrator, static_cast<Permission>(i)));
  }
  EXPECT_FALSE(parse_role("root"));
}

}  // namespace
}  // namespace penstock::api::access
