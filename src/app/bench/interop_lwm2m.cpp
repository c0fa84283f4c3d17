#include "app/bench/interop_lwm2m.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/bench/bench_server.h"
#include "base/io.h"
#include "interop/lwm2m/coap.h"

namespace penstock::app {
namespace {

namespace coap = interop::lwm2m::coap;

constexpr int kRegistered = 20'000;
constexpr int kSpeaking = 256;
constexpr int64_t kMeasureUs = 5'000'000;
constexpr const char* kPeer = "/usr/bin/coap-server-openssl";

// One device: a socket of its own, for that is who it is.
struct Client {
  int fd = -1;
  uint16_t id = 1;
  uint32_t sequence = 1;
  coap::Token observed;
  bool ready = false;
};

class Fleet {
 public:
  Fleet() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}
  ~Fleet() {
    for (const Client& client : clients_) ::close(client.fd);
    ::close(epoll_);
  }
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  Status add(int count, const NetAddress& server) {
    for (int i = 0; i < count; ++i) {
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(server.port);
      ::inet_pton(AF_INET, server.host.c_str(), &to.sin_addr);
      Client client;
      client.fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      if (client.fd < 0 || ::connect(client.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
        return fail(ErrorCode::kIo, "a socket a client is needed: raise the limit of open files");
      epoll_event event{EPOLLIN, {}};
      event.data.u64 = clients_.size();
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd, &event);
      clients_.push_back(client);
    }
    return {};
  }

  void send(Client& client, coap::Outgoing& message) {
    scratch_.clear();
    coap::write_datagram(message, scratch_);
    [[maybe_unused]] const auto sent = ::send(client.fd, scratch_.data(), scratch_.size(), 0);
  }

  void enroll(size_t index, std::string_view prefix) {
    Client& client = clients_[index];
    coap::Outgoing out;
    out.code = coap::kPost;
    out.id = ++client.id;
    out.token = coap::Token::of(index, 4);
    out.add_path("/rd");
    out.add(coap::kUriQuery, fmt::format("ep={}{}", prefix, index));
    out.add(coap::kUriQuery, "lt=86400");
    out.add(coap::kUriQuery, "lwm2m=1.0");
    append_bytes(out.payload, as_bytes("</>;rt=\"oma.lwm2m\",</1/0>,</3/0>,</3303/0>"));
    send(client, out);
  }

  void notify(Client& client) {
    coap::Outgoing out;
    out.code = coap::kContent;
    out.id = ++client.id;
    out.token = client.observed;
    out.add_number(coap::kObserve, ++client.sequence & 0xff'ffff);
    append_bytes(out.payload, as_bytes(fmt::format("{:.2f}", 20 + client.sequence % 1000 * 0.01)));
    send(client, out);
  }

  void ask(Client& client) {
    coap::Outgoing out;
    out.code = coap::kGet;
    out.id = ++client.id;
    out.token = coap::Token::of(client.id, 2);
    send(client, out);
  }

  /// Calls `take(client, message)` for what comes within `timeout_ms`; answers requests: values
  /// where they are observed, 4.04 else. Gives how many messages came.
  template <class Take>
  size_t pump(int timeout_ms, Take take) {
    std::array<epoll_event, 256> events{};
    const int count = ::epoll_wait(epoll_, events.data(), events.size(), timeout_ms);
    size_t messages = 0;
    for (int i = 0; i < count; ++i) {
      Client& client = clients_[events[static_cast<size_t>(i)].data.u64];
      std::array<std::byte, 2048> buffer;
      ssize_t size = 0;
      while ((size = ::recv(client.fd, buffer.data(), buffer.size(), 0)) > 0) {
        coap::Message message;
        if (coap::read_datagram({buffer.data(), static_cast<size_t>(size)}, message) !=
            coap::ReadResult::kDone)
          continue;
        ++messages;
        if (coap::is_request(message.code))
          answer(client, message);
        else
          take(client, message);
      }
    }
    return messages;
  }

  std::vector<Client>& clients() { return clients_; }

 private:
  void answer(Client& client, const coap::Message& request) {
    coap::Outgoing out;
    out.type = coap::Type::kAcknowledgement;
    out.id = request.id;
    out.token = request.token;
    out.code = request.code == coap::kPut ? coap::kChanged : coap::kNotFound;
    if (request.option(coap::kObserve)) {
      out.code = coap::kContent;
      out.add_number(coap::kObserve, client.sequence);
      append_bytes(out.payload, as_bytes("20"));
      client.observed = request.token;
      client.ready = true;
    }
    send(client, out);
  }

  int epoll_;
  std::vector<Client> clients_;
  Bytes scratch_;
};

double resident_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  double pages = 0;
  file >> pages >> pages;
  return pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double cpu_seconds(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string skip;
  std::getline(file, skip, ')');
  for (int i = 0; i < 11; ++i) file >> skip;
  double user = 0, system = 0;
  file >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

Result<uint16_t> free_port() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&at), size) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) == 0;
  ::close(fd);
  if (!bound) return fail(ErrorCode::kIo, "no free UDP port was found");
  return ntohs(at.sin_port);
}

// All clients from `first` on, 500 at a time.
Status enroll_all(Fleet& fleet, size_t first, std::string_view prefix) {
  size_t next = first, done = first;
  const size_t all = fleet.clients().size();
  const int64_t give_up = system_clock().monotonic_us() + 120'000'000;
  while (done < all) {
    while (next < all && next - done < 500) fleet.enroll(next++, prefix);
    fleet.pump(1000, [&](Client&, const coap::Message& message) {
      if (message.code == coap::kCreated) ++done;
    });
    if (system_clock().monotonic_us() > give_up)
      return fail(ErrorCode::kTimeout, fmt::format("{} of {} clients registered", done, all));
  }
  return {};
}

struct Rate {
  double per_s = 0, per_cpu_s = 0;
};

// Each client has one message on its way and sends the next when it is acknowledged.
template <class Speak>
Rate measure(Fleet& fleet, size_t speaking, pid_t pid, Speak speak) {
  const double cpu = cpu_seconds(pid);
  const int64_t begin = system_clock().monotonic_us();
  size_t acknowledged = 0;
  for (size_t i = 0; i < speaking; ++i) speak(fleet.clients()[i]);
  while (system_clock().monotonic_us() - begin < kMeasureUs)
    fleet.pump(100, [&](Client& client, const coap::Message&) {
      ++acknowledged;
      speak(client);
    });
  const double seconds = static_cast<double>(system_clock().monotonic_us() - begin) / 1e6;
  const double used = cpu_seconds(pid) - cpu;
  return {static_cast<double>(acknowledged) / seconds,
          used > 0 ? static_cast<double>(acknowledged) / used : 0};
}

Status make_devices(HttpClient& http) {
  TRY(http.post("/api/v1/sites", {{"name", "bench"}}));
  TRY(http.post(
      "/api/v1/models",
      {{"@context", "dtmi:dtdl:context;3"},
       {"@id", "dtmi:penstock:bench:Lwm2m;1"},
       {"@type", "Interface"},
       {"contents",
        Json::array({{{"@type", "Telemetry"}, {"name", "temperature"}, {"schema", "double"}}})}}));
  const Json document{
      {"name", "bench-lwm2m"},
      {"protocol", "lwm2m"},
      {"model", "dtmi:penstock:bench:Lwm2m;1"},
      {"elements", Json::array({{{"element", "temperature"}, {"from", "/3303/0/5700"}}})}};
  TRY(http.post("/api/v1/bindings", {{"document", document}, {"activate", true}}));
  for (int i = 0; i < kSpeaking; ++i)
    TRY(http.post("/api/v1/devices", {{"id", fmt::format("lw{}", i)},
                                      {"site", "bench"},
                                      {"model", "dtmi:penstock:bench:Lwm2m;1"},
                                      {"protocol", "lwm2m"},
                                      {"binding", "bench-lwm2m"}}));
  return {};
}

// libcoap's example server: what acknowledging costs where nothing is kept.
Result<Json> measure_peer(int rounds) {
  if (::access(kPeer, X_OK) != 0) return Json();
  TRY_ASSIGN(const uint16_t port, free_port());
  ProcessOptions options;
  options.arguments = {kPeer, "-A", "127.0.0.1", "-p", std::to_string(port)};
  options.log_file = "/dev/null";
  TRY_ASSIGN(Process peer, Process::start(options));
  Fleet fleet;
  TRY(fleet.add(kSpeaking, {"127.0.0.1", port}));
  bool up = false;
  for (int i = 0; i < 100 && !up; ++i) {
    fleet.ask(fleet.clients()[0]);
    up = fleet.pump(50, [](Client&, const coap::Message&) {}) > 0;
  }
  if (!up) return Json();
  double best = 0;
  for (int i = 0; i < rounds; ++i)
    best = std::max(best, measure(fleet, kSpeaking, peer.id(), [&](Client& client) {
                            fleet.ask(client);
                          }).per_cpu_s);
  return Json(best);
}

}  // namespace

Result<Json> bench_interop_lwm2m(const InteropBenchOptions& options) {
  struct rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  TRY_ASSIGN(const TemporaryFolder folder, TemporaryFolder::create());
  BenchServerOptions wanted;
  wanted.program = options.program;
  wanted.folder = folder.path() + "/data";
  wanted.devices = 0;
  wanted.rules = wanted.detectors = false;
  TRY_ASSIGN(const uint16_t port, free_port());
  const NetAddress coap{"127.0.0.1", port};
  wanted.arguments = {"--coap", coap.text(), "--log", "error"};
  TRY_ASSIGN(BenchServer server, BenchServer::start(wanted));
  TRY(make_devices(server.http));
  const pid_t pid = server.process.id();

  Fleet fleet;
  TRY(fleet.add(kSpeaking, coap));
  TRY(enroll_all(fleet, 0, "lw"));
  const auto observed = [&] {
    size_t ready = 0;
    for (const Client& client : fleet.clients()) ready += client.ready ? 1 : 0;
    return ready == kSpeaking;
  };
  const int64_t give_up = system_clock().monotonic_us() + 30'000'000;
  while (!observed() && system_clock().monotonic_us() < give_up)
    fleet.pump(100, [](Client&, const coap::Message&) {});
  if (!observed()) return fail(ErrorCode::kTimeout, "the server did not observe its devices");
  Rate best;
  for (int i = 0; i < options.rounds; ++i) {
    const Rate rate = measure(fleet, kSpeaking, pid, [&](Client& client) { fleet.notify(client); });
    if (rate.per_cpu_s > best.per_cpu_s) best = rate;
  }
  fleet.pump(200, [](Client&, const coap::Message&) {});

  const double before = resident_bytes(pid);
  const int64_t begin = system_clock().monotonic_us();
  // A socket a client: as many as may be open here.
  const int registered =
      static_cast<int>(std::clamp<rlim_t>(files.rlim_cur - 300, kSpeaking + 1, kRegistered));
  TRY(fleet.add(registered - kSpeaking, coap));
  TRY(enroll_all(fleet, kSpeaking, "idle"));
  const double took_s = static_cast<double>(system_clock().monotonic_us() - begin) / 1e6;
  // Discovery asks each of them what it has.
  while (fleet.pump(1000, [](Client&, const coap::Message&) {}) > 0) {
  }
  const double after = resident_bytes(pid);
  TRY_ASSIGN(const Json peer, measure_peer(options.rounds));
  return Json{
      {"lwm2m_notifications_per_s", std::llround(best.per_cpu_s)},
      {"lwm2m_notifications_per_s_wall", std::llround(best.per_s)},
      {"lwm2m_peer_per_s", peer.is_null() ? Json() : Json(std::llround(peer.get<double>()))},
      {"lwm2m_ratio", peer.is_null() ? Json() : Json(best.per_cpu_s / peer.get<double>())},
      {"lwm2m_clients", registered},
      {"lwm2m_client_bytes", std::llround((after - before) / (registered - kSpeaking))},
      {"lwm2m_resident_mb", std::llround(after / 1048576.0)},
      {"lwm2m_registrations_per_s", std::llround((registered - kSpeaking) / took_s)}};
}

}  // namespace penstock::app
