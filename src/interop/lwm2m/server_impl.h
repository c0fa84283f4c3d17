#pragma once
// The LwM2M server's inside. server.cpp: thread, registration, what is kept. server_reports.cpp:
// notifications and Send. server_operations.cpp: what people ask of devices, and observations.
// server_bootstrap.cpp, server_firmware.cpp: what they say.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "interop/lwm2m/content.h"
#include "interop/lwm2m/server.h"
#include "twin/binding.h"

namespace penstock::interop::lwm2m {

struct Observation {
  enum class State : uint8_t { kWanted, kAsked, kActive, kRefused };
  uint32_t number = 0;  // its token
  State state = State::kWanted;
  bool automatic = false;  // for the device's binding
  bool ordered = false;    // last_* are set
  uint32_t last_sequence = 0;
  int64_t last_us = 0;
  uint64_t notifications = 0, stale = 0;
  std::vector<Path> paths;  // several: composite
  Attributes attributes;
  std::string refusal;
};

struct Operation {
  enum class Status : uint8_t { kWaiting, kSent, kDone, kFailed };
  std::string id;
  OperationRequest request;
  Status status = Status::kWaiting;
  Timestamp asked_at, done_at;
  std::string detail;  // a sentence
  uint8_t code = 0;
  Json values, links;
  std::shared_ptr<std::promise<Json>> waiting;  // of who asked, until it is answered
};
using OperationPtr = std::shared_ptr<Operation>;  // shared: record and request on its way

struct FirmwareJob {
  enum class Step : uint8_t { kStart, kSending, kDownloading, kUpdating, kDone, kFailed };
  FirmwareRequest request;
  std::string token;  // of /fw/{token}
  Step step = Step::kStart;
  bool pull = false, asking = false, triggered = false;
  size_t sent = 0;
  int state = -1, result = -1;
  Timestamp started_at, done_at;
  int64_t next_us = 0, deadline_us = 0;
  std::string detail;
};

struct Client {
  OrganisationId organisation;
  std::string endpoint, device, location, identity, address, links;
  std::string version = "1.0", binding = "U";
  Transport transport = Transport::kUdp;
  RegisteredObjects objects;
  uint32_t lifetime_s = 86'400;
  bool queue = false, known = false, reobserve = true, restored = false, stored = false;
  PeerHandle peer = 0;
  Timestamp registered_at, updated_at, seen_at;
  int64_t expires_us = 0, awake_until_us = 0;
  uint32_t address_changes = 0, registrations = 0;
  uint64_t notifications = 0, sends = 0;
  std::vector<Observation> observations;
  std::deque<OperationPtr> operations;  // newest last
  std::unique_ptr<FirmwareJob> firmware;

  [[nodiscard]] bool has_object(uint16_t object) const;
  [[nodiscard]] bool has_instance(const Path& path) const;
};

// What became durable, from the shards to the server's thread.
struct DoneQueue {
  struct Done {
    Exchange exchange;
    bool respond = false;  // else an acknowledgement
    bool durable = false;
  };
  std::mutex mutex;
  std::vector<Done> done;
  Messenger* messenger = nullptr;  // null: the server has stopped
};

struct ServerMetrics {
  explicit ServerMetrics(Metrics& metrics);
  Counter& registrations;
  Counter& updates;
  Counter& deregistrations;
  Counter& expirations;
  Counter& refused;
  Counter& address_changes;
  Counter& notifications;
  Counter& stale;
  Counter& unknown;
  Counter& undecodable;
  Counter& overloaded;
  Counter& sends;
  Gauge& clients;
};

struct Server::Impl final : MessageHandler {
  Impl(ServerOptions o, ServerHooks h, twin::TwinRegistry& t, Objects& ob, Store& st, Clock& c,
       Random& r, Metrics& m);
  ~Impl() override;

  // -- MessageHandler
  void on_request(const IncomingRequest& request) override;
  bool on_notification(const Exchange& exchange, const Response& notification) override;
  void on_peer_gone(PeerHandle peer, std::string_view why) override;

  // -- server.cpp
  penstock::Status open();
  penstock::Status listen();
  penstock::Status restore();
  void run();
  void run_store();
  void post(std::function<void()> task);
  /// Runs on the server's thread and waits.
  template <class Work>
  auto ask(Work work) -> std::invoke_result_t<Work&>;
  void handle_done();
  void tick();
  void answer(const Exchange& exchange, uint8_t code, std::string_view words = {});
  struct Admitted {
    OrganisationId organisation;
    std::string endpoint, identity;
  };
  Result<Admitted> admit(const IncomingRequest& request, bool bootstrap);
  void on_register(const IncomingRequest& request);
  penstock::Status read_registration(const IncomingRequest& request, Client& client, bool update);
  void on_update(const IncomingRequest& request);
  void on_deregister(const IncomingRequest& request);
  Client* located(const IncomingRequest& request);
  void save(Client& client, std::function<void(bool)> then);
  void forget(Client& client, std::string_view why, bool lost);
  /// The device spoke: it is awake, and where its address says.
  void contact(Client& client, PeerHandle peer, bool observe);
  Client* client_of(PeerHandle peer);
  Client* find(OrganisationId organisation, std::string_view endpoint);
  Client* find_device(std::string_view device);
  void on_device_change(const std::string& device);
  [[nodiscard]] bool awake(const Client& client) const;
  Json client_json(const Client& client, bool whole);

  // -- server_reports.cpp
  void report(Client& client, std::span<const Entry> entries, std::string_view how,
              std::function<void(bool)> then);
  void on_send(const IncomingRequest& request);
  bool report_response(Client& client, const Observation& observation, const Response& response,
                       std::function<void(bool)> then);
  void read_again(Client& client, const Observation& observation);

  // -- server_operations.cpp
  OperationPtr begin_operation(Client& client, OperationRequest request);
  Result<coap::Outgoing> message_of(const Client& client, const OperationRequest& request);
  void perform(Client& client, const OperationPtr& operation);
  void on_performed(const std::string& location, const OperationPtr& operation,
                    Result<Response> outcome);
  void read_outcome(Client& client, Operation& operation, const Response& response);
  void finish_operation(Operation& operation);
  void perform_waiting(Client& client);
  Json operation_json(const Operation& operation) const;
  Json values_json(std::span<const Entry> entries) const;
  void plan_observations(Client& client);
  void observe_all(Client& client);
  void observe(Client& client, uint32_t number);
  void write_attributes(Client& client, uint32_t number, std::function<void()> then);
  void on_observed(const std::string& location, uint32_t number, Result<Response> outcome);
  void split(Client& client, uint32_t number);
  void cancel(Client& client, const Observation& observation);
  Observation* observation(Client& client, uint32_t number);
  uint32_t make_observation(Client& client, std::vector<Path> paths, bool automatic);
  void read_for_discovery(Client& client);
  coap::Outgoing to(const Client& client, uint8_t code, const Path& path) const;

  // -- server_bootstrap.cpp
  void on_bootstrap(const IncomingRequest& request);
  void on_bootstrap_pack(const IncomingRequest& request);
  struct BootstrapPlan {
    std::vector<Path> erase;
    std::vector<Entry> entries;  // by instance
  };
  Result<BootstrapPlan> bootstrap_plan(OrganisationId organisation, const std::string& endpoint,
                                       bool keep_key);
  void bootstrap_step(PeerHandle peer, std::shared_ptr<BootstrapPlan> plan, std::string endpoint);
  std::map<std::string, std::string> bootstrap_outcome;  // by endpoint: a sentence

  // -- server_firmware.cpp
  void drive_firmware(Client& client);
  void start_download(Client& client, FirmwareJob& job);
  void ask_firmware(Client& client);
  void judge_firmware(Client& client, FirmwareJob& job);
  void end_firmware(Client& client, bool good, std::string detail);
  void serve_firmware(const IncomingRequest& request);
  Json firmware_json(const FirmwareJob& job) const;
  std::unordered_map<std::string, std::shared_ptr<const std::string>> packages;  // by token

  ServerOptions options;
  ServerHooks hooks;
  twin::TwinRegistry& twins;
  Objects& objects;
  Store& store;
  Clock& clock;
  Random& random;
  ServerMetrics metrics;
  ServerAddresses addresses;
  std::unique_ptr<SecureContext> dtls, tls;
  std::unique_ptr<Messenger> messenger;
  std::shared_ptr<DoneQueue> done = std::make_shared<DoneQueue>();  // shared with the shards
  std::shared_ptr<const ObjectTable> table;                         // of this turn
  size_t reports_waiting = 0;
  int64_t now_us = 0, next_second_us = 0;

  std::unordered_map<std::string, std::unique_ptr<Client>> by_location;
  std::map<std::pair<OrganisationId, std::string>, Client*> by_endpoint;
  std::unordered_map<PeerHandle, Client*> by_peer;
  std::unordered_map<std::string, Client*> by_identity, by_address, by_device;
  std::unordered_map<uint32_t, Client*> by_token;
  std::multimap<int64_t, std::string> expiries;  // monotonic time -> location
  std::vector<Entry> entries;
  std::string addresses_text;
  std::vector<stream::WireValue> values;

  std::mutex tasks_mutex;
  std::vector<std::function<void()>> tasks;

  struct SaveTask {
    StoredRegistration registration;  // document empty: remove
    std::function<void(bool)> then;   // on the server's thread
  };
  std::mutex saves_mutex;
  std::condition_variable saves_wanted;
  std::vector<SaveTask> saves;

  std::atomic<bool> stopping{false};
  std::thread thread, storing;
};

template <class Work>
auto Server::Impl::ask(Work work) -> std::invoke_result_t<Work&> {
  using Answer = std::invoke_result_t<Work&>;
  // Shared: who asked may have given up when the task runs.
  const auto promise = std::make_shared<std::promise<Answer>>();
  auto answered = promise->get_future();
  post([promise, work = std::move(work)]() mutable { promise->set_value(work()); });
  if (answered.wait_for(std::chrono::seconds(10)) != std::future_status::ready)
    return fail(ErrorCode::kTimeout, "the LwM2M server is busy: try again");
  return answered.get();
}

/// A value as people read it: bytes in base64.
Json value_json(const Value& value);
/// What a person wrote as a value of that type; kNone: as JSON says.
Result<Value> value_of(const Json& json, DataType type);

}  // namespace penstock::interop::lwm2m
