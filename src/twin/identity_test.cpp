#include "twin/identity.h"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "twin/password.h"

namespace penstock::twin {
namespace {

class HandClock : public Clock {
 public:
  [[nodiscard]] Timestamp now() const override { return Timestamp{us_}; }
  [[nodiscard]] int64_t monotonic_us() const override { return us_; }
  void advance(Duration by) { us_ += by.us; }

 private:
  std::atomic<int64_t> us_{1'800'000'000'000'000};
};

class IdentityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/penstock-identity-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    auto store = store::Registry::open(folder_ + "/registry.db");
    ASSERT_TRUE(store);
    store_ = *std::move(store);
    TwinRegistry::Options options;
    options.password_memory_bytes = 64 * 1024;  // quick, the same code
    options.password_passes = 1;
    auto twins = TwinRegistry::open(*store_, clock_, system_random(), options);
    ASSERT_TRUE(twins) << twins.error().text();
    twins_ = *std::move(twins);
    org_ = twins_->default_organisation();
    ASSERT_TRUE(twins_->create_site(org_, {"north", "", "UTC", ""}));
    ASSERT_TRUE(twins_->add_models(
        org_,
        R"({"@context":"dtmi:dtdl:context;3","@id":"dtmi:test:T;1","@type":"Interface","contents":[
             {"@type":"Telemetry","name":"t","schema":"double"}]})"));
    identities_ = std::make_unique<Identities>(*twins_, clock_, system_random(), limits_);
  }
  void TearDown() override {
    identities_.reset();
    twins_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::string add(std::string name, std::string password = {}) {
    DeviceDraft draft;
    draft.name = std::move(name);
    draft.site = "north";
    draft.model = "dtmi:test:T;1";
    draft.password = std::move(password);
    const auto made = twins_->create_device(org_, draft);
    EXPECT_TRUE(made) << made.error().text();
    return made ? made->token : "";
  }
  std::string denial(const tl::expected<DeviceIdentity, Denial>& outcome) {
    return outcome ? "admitted " + outcome->device : std::string(name(outcome.error()));
  }
  std::string check(std::string_view username, std::string_view secret,
                    std::string_view peer = "10.0.0.1:5000", std::string_view certificate = {}) {
    return denial(identities_->check({username, secret, certificate, peer}));
  }
  std::string check_slowly(std::string_view username, std::string_view secret,
                           std::string_view peer = "10.0.0.1:5000") {
    return denial(identities_->check_slowly({username, secret, {}, peer}));
  }

  std::string folder_;
  HandClock clock_;
  Identities::Options limits_;
  std::unique_ptr<store::Registry> store_;
  std::unique_ptr<TwinRegistry> twins_;
  std::unique_ptr<Identities> identities_;
  OrganisationId org_;
};

TEST_F(IdentityTest, ATokenIsEnoughAndBelongsToOneDevice) {
  const std::string a = add("a"), b = add("b");
  EXPECT_EQ(check("a", a), "admitted a");
  EXPECT_EQ(check("", a), "admitted a");
  EXPECT_EQ(check(a, ""), "admitted a");
  EXPECT_EQ(check("b", a), "bad_credentials");
  EXPECT_EQ(check("a", b), "bad_credentials");
  EXPECT_EQ(check("a", "pst_" + std::string(64, '0')), "bad_credentials");
  EXPECT_EQ(check("a", ""), "bad_credentials");
  EXPECT_EQ(check("", ""), "bad_credentials");
  const auto identity = identities_->check({"a", a, {}, "10.0.0.1"});
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->organisation, org_);
  EXPECT_EQ(identity->twin, (*twins_->twin(org_, "a"))->id);
  EXPECT_FALSE(identity->may_provision);
}

TEST_F(IdentityTest, RotationAndSwitchingOffHoldAtOnce) {
  const std::string old = add("a");
  const auto fresh = twins_->rotate_credentials(org_, "a", "");
  ASSERT_TRUE(fresh);
  EXPECT_EQ(check("a", old), "bad_credentials");
  EXPECT_EQ(check("a", *fresh), "admitted a");
  DevicePatch off;
  off.enabled = false;
  ASSERT_TRUE(twins_->update_device(org_, "a", off));
  EXPECT_EQ(check("a", *fresh), "disabled");
  ASSERT_TRUE(twins_->delete_device(org_, "a", true));
  EXPECT_EQ(check("a", *fresh), "bad_credentials");
}

TEST_F(IdentityTest, APasswordIsVerifiedSlowlyOnceAndQuicklyAfterwards) {
  add("a", "correct horse");
  EXPECT_EQ(check("a", "correct horse"), "needs_slow_check");
  EXPECT_EQ(check_slowly("a", "wrong horse"), "bad_credentials");
  EXPECT_EQ(check_slowly("a", "correct horse"), "admitted a");
  EXPECT_EQ(check("a", "correct horse"), "admitted a");
  EXPECT_EQ(check("a", "correct horse", "10.9.9.9"), "admitted a");
  EXPECT_EQ(check("a", "wrong horse"), "needs_slow_check");
  EXPECT_EQ(check("nobody", "correct horse"), "bad_credentials");
  ASSERT_TRUE(twins_->rotate_credentials(org_, "a", "battery staple"));
  EXPECT_EQ(check("a", "correct horse"), "needs_slow_check");  // forgotten with the old hash
  EXPECT_EQ(check_slowly("a", "correct horse"), "bad_credentials");
  EXPECT_EQ(check_slowly("a", "battery staple"), "admitted a");
  DevicePatch off;
  off.enabled = false;
  ASSERT_TRUE(twins_->update_device(org_, "a", off));
  EXPECT_EQ(check("a", "battery staple"), "disabled");
}

TEST_F(IdentityTest, GuessingIsSlowedForTheGuesserOnly) {
  add("a", "correct horse");
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(check_slowly("a", fmt::format("guess {}", i)), "bad_credentials");
  EXPECT_EQ(check_slowly("a", "guess 6"), "too_many_attempts");
  EXPECT_EQ(check_slowly("a", "correct horse"), "too_many_attempts");
  EXPECT_EQ(check_slowly("a", "correct horse", "10.0.0.1:6000"), "too_many_attempts");  // same host
  EXPECT_EQ(check_slowly("a", "correct horse", "10.0.0.2"), "admitted a");
  EXPECT_EQ(check("a", "correct horse"), "admitted a");  // known by now, no check needed
  clock_.advance(Duration::seconds(11));
  EXPECT_EQ(check_slowly("a", "guess 7"), "bad_credentials");
  EXPECT_EQ(check_slowly("a", "guess 8"), "too_many_attempts");
}

TEST_F(IdentityTest, OnePeerCannotTryManyDevicesForEver) {
  limits_.peer_burst = 3;
  limits_.peer_per_s = 1;
  identities_ = std::make_unique<Identities>(*twins_, clock_, system_random(), limits_);
  for (int i = 0; i < 5; ++i) add(fmt::format("d{}", i), "correct horse");
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(check_slowly(fmt::format("d{}", i), "wrong horse"), "bad_credentials");
  EXPECT_EQ(check_slowly("d3", "wrong horse"), "too_many_attempts");
  EXPECT_EQ(check_slowly("d3", "correct horse", "[::1]:9"), "admitted d3");
}

TEST_F(IdentityTest, ATokenPassesWhateverOthersGuess) {
  const std::string token = add("a");
  for (int i = 0; i < 1000; ++i) (void)check("a", fmt::format("pst_{:064}", i));
  EXPECT_EQ(check("a", token), "admitted a");
}

TEST_F(IdentityTest, ACertificateNamesTheDevice) {
  add("a");
  EXPECT_EQ(check("", "", "10.0.0.1", "a"), "admitted a");
  EXPECT_EQ(check("a", "", "10.0.0.1", "a"), "admitted a");
  EXPECT_EQ(check("b", "", "10.0.0.1", "a"), "bad_credentials");
  EXPECT_EQ(check("", "", "10.0.0.1", "stranger"), "bad_credentials");
}

TEST_F(IdentityTest, AJoinTokenProvisionsUntilItExpires) {
  const auto made =
      twins_->create_join_token(org_, "north", "day one", clock_.now() + Duration::days(1));
  ASSERT_TRUE(made);
  const auto identity = identities_->check({"anything", made->token, {}, "10.0.0.1"});
  ASSERT_TRUE(identity);
  EXPECT_TRUE(identity->may_provision);
  EXPECT_TRUE(identity->device.empty());
  EXPECT_EQ(identity->site, made->record->site);
  clock_.advance(Duration::days(1));
  EXPECT_EQ(check("anything", made->token), "bad_credentials");
  const auto forever = twins_->create_join_token(org_, "north", "", Timestamp{});
  ASSERT_TRUE(forever);
  EXPECT_EQ(check("x", forever->token), "admitted ");
  ASSERT_TRUE(twins_->delete_join_token(org_, forever->record->id));
  EXPECT_EQ(check("x", forever->token), "bad_credentials");
}

TEST_F(IdentityTest, AnApplicationHasItsGrantsAndNoNamespace) {
  const auto made = twins_->create_application(org_, "dashboard", {}, {"devices/+/telemetry"});
  ASSERT_TRUE(made);
  const auto identity = identities_->check({"dashboard", made->token, {}, ""});
  ASSERT_TRUE(identity);
  EXPECT_TRUE(identity->device.empty());
  EXPECT_EQ(identity->subscribe_filters, std::vector<std::string>{"devices/+/telemetry"});
  EXPECT_TRUE(twins_->device_configs().empty());
  EXPECT_FALSE(twins_->create_application(org_, "dashboard", {}, {}));
  EXPECT_FALSE(twins_->create_application(org_, "other", {"a/#/b"}, {}));
}

TEST_F(IdentityTest, AnEdgeNodeMaySpeakSparkplugForItselfOnly) {
  const auto grants = [&](const std::string& name) {
    DeviceDraft draft;
    draft.name = name;
    draft.site = "north";
    draft.model = "dtmi:test:T;1";
    draft.protocol = "sparkplug";
    const auto made = twins_->create_device(org_, draft);
    EXPECT_TRUE(made) << made.error().text();
    return *identities_->check({name, made->token, {}, "10.0.0.1:1"});
  };
  const auto node = grants("Plant%201:Edge");
  ASSERT_EQ(node.publish_filters.size(), 6U);
  EXPECT_EQ(node.publish_filters[0], "spBv1.0/Plant 1/NBIRTH/Edge");
  EXPECT_EQ(node.publish_filters[4], "spBv1.0/Plant 1/DDATA/Edge/+");
  EXPECT_EQ(node.subscribe_filters[0], "spBv1.0/Plant 1/NCMD/Edge/#");
  EXPECT_TRUE(grants("Plant:Edge:Pump").publish_filters.empty()) << "it has no connection";
  EXPECT_TRUE(grants("Plant:%2B").publish_filters.empty()) << "a wildcard is no name";
  EXPECT_TRUE(grants("Plant:a%2F%23").publish_filters.empty());
  EXPECT_TRUE(grants("plain").publish_filters.empty());
}

TEST_F(IdentityTest, MemoryOfAttemptsIsBounded) {
  limits_.attempts_max = 8;
  limits_.verified_max = 2;
  identities_ = std::make_unique<Identities>(*twins_, clock_, system_random(), limits_);
  add("a", "correct horse");
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(check_slowly("a", "wrong horse", fmt::format("10.0.1.{}", i)), "bad_credentials");
  for (int i = 0; i < 3; ++i) {
    add(fmt::format("v{}", i), "correct horse");
    EXPECT_EQ(check_slowly(fmt::format("v{}", i), "correct horse"), fmt::format("admitted v{}", i));
  }
  EXPECT_EQ(check("v0", "correct horse"), "needs_slow_check");  // pushed out
  EXPECT_EQ(check("v2", "correct horse"), "admitted v2");
}

TEST_F(IdentityTest, ManyThreadsAgree) {
  const std::string token = add("t");
  add("p", "correct horse");
  ASSERT_EQ(check_slowly("p", "correct horse"), "admitted p");
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int n = 0; n < 200; ++n) {
        if (check("t", token) != "admitted t") ++wrong;
        if (check("p", "correct horse") != "admitted p") ++wrong;
        (void)check_slowly("p", "wrong", fmt::format("10.0.{}.1", i));
      }
    });
  for (int i = 0; i < 20; ++i) add(fmt::format("n{}", i));
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Password, IsArgon2idOfTheStatedStrength) {
  const auto begin = std::chrono::steady_clock::now();
  const auto hash = hash_password("correct horse", 2, 19'456 * 1024);
  const auto ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin);
  ASSERT_TRUE(hash);
  EXPECT_TRUE(hash->starts_with("$argon2id$v=19$m=19456,t=2,p=1$")) << *hash;
  EXPECT_TRUE(verify_password(*hash, "correct horse"));
  EXPECT_FALSE(verify_password(*hash, "correct horsf"));
  EXPECT_FALSE(verify_password("", "correct horse"));
  EXPECT_FALSE(hash_password("short", 2, 19'456 * 1024));
  EXPECT_FALSE(hash_password("pst_looks like a token", 2, 19'456 * 1024));
  fmt::print("one Argon2id hash: {:.0f} ms\n", ms.count());
}

}  // namespace
}  // namespace penstock::twin
