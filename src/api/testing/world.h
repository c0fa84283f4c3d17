#pragma once
// A whole API over real tables in a temporary folder and a data path in memory. Every answer is
// held against the contract.

#include <memory>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "api/access/access_control.h"
#include "api/api.h"
#include "api/testing/books.h"
#include "api/testing/contract.h"
#include "api/testing/opcua_book.h"
#include "api/testing/repositories.h"
#include "api/testing/views.h"
#include "base/json.h"
#include "interop/http/ingest.h"
#include "interop/mqtt/bridge_store.h"
#include "store/registry.h"
#include "twin/knocks.h"
#include "twin/onboarding.h"
#include "twin/registry.h"

namespace penstock::api::testing {

class HandClock : public Clock {
 public:
  [[nodiscard]] Timestamp now() const override { return Timestamp{us_.load()}; }
  [[nodiscard]] int64_t monotonic_us() const override { return us_.load(); }
  void pass(Duration time) { us_ += time.us; }

 private:
  std::atomic<int64_t> us_{1'800'000'000'000'000};
};

struct Reply {
  int status = 0;
  Json body;
  Response response;
};

class ApiTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// Sends a request as the bearer of `token`; checks the answer against the contract.
  Reply call(Method method, std::string_view target, const Json& body, const std::string& token);
  Reply get(std::string_view target) { return call(Method::kGet, target, nullptr, admin); }
  Reply post(std::string_view target, const Json& body = nullptr) {
    return call(Method::kPost, target, body, admin);
  }
  Reply put(std::string_view target, const Json& body) {
    return call(Method::kPut, target, body, admin);
  }
  Reply patch(std::string_view target, const Json& body) {
    return call(Method::kPatch, target, body, admin);
  }
  Reply remove(std::string_view target) { return call(Method::kDelete, target, nullptr, admin); }
  /// Sends a request just as it is.
  Reply send(Request request);

  /// A token of a new user with that role.
  std::string token_of(access::Role role, const std::vector<SiteId>& sites = {});
  /// Site "north", model kCompressor, and the device and twin "comp-1" there. Gives the device's
  /// reply.
  Reply make_compressor();
  /// A live number of an element.
  void set_live(const std::string& twin, const std::string& element, double value);
  [[nodiscard]] Services services() { return services(clock); }
  [[nodiscard]] Services services(Clock& other_clock);
  [[nodiscard]] Timestamp now() const { return clock.now(); }

  static constexpr std::string_view kCompressor = R"({
    "@context":"dtmi:dtdl:context;3","@id":"dtmi:test:Compressor;1","@type":"Interface",
    "displayName":"Compressor","contents":[
      {"@type":"Telemetry","name":"pressure","schema":"double"},
      {"@type":"Telemetry","name":"temperature","schema":"double"},
      {"@type":"Telemetry","name":"mode","schema":"string"},
      {"@type":"Property","name":"setpoint","schema":"double","writable":true},
      {"@type":"Command","name":"reset"}]})";

  std::string directory;
  HandClock clock;
  Metrics metrics;
  MemoryViews views;
  MemoryBooks books;
  twin::Knocks knocks;
  MemoryRepositories repositories;
  stream::ReportReaders readers;
  MemoryOpcua opcua;
  std::unique_ptr<store::Registry> registry;
  std::unique_ptr<access::AccessControl> people;
  std::unique_ptr<twin::TwinRegistry> twins;
  std::unique_ptr<twin::Identities> identities;
  std::unique_ptr<interop::http::IdempotencyKeys> keys;
  std::vector<stream::Intake> taken;  ///< what came over HTTP, durable at once
  bool journal_writes = true;
  std::unique_ptr<interop::http::Ingest> ingest;
  std::unique_ptr<twin::Onboarding> onboarding;
  std::unique_ptr<interop::mqtt::BridgeStore> bridges;  ///< none of them runs
  std::unique_ptr<Api> api;
  std::string admin;  ///< an administrator's bearer token
  access::Principal administrator;
};

}  // namespace penstock::api::testing
