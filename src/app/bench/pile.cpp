#include "app/bench/pile.h"

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <simdjson.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"

namespace penstock::app {
namespace {

// A port that is free now. Another program may take it before ours does; then the start fails and
// says so.
Result<uint16_t> free_port() {
  TRY_ASSIGN(const SocketHandle socket, system_net().listen({"127.0.0.1", 0}, false));
  TRY_ASSIGN(const NetAddress address, system_net().local_address(socket));
  system_net().close(socket);
  return address.port;
}

int connect_to(const NetAddress& address) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(address.port);
  inet_pton(AF_INET, address.host.c_str(), &to.sin_addr);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) return fd;
  ::close(fd);
  return -1;
}

Status wait_for_port(Process& process, const NetAddress& address) {
  const int64_t give_up = system_clock().monotonic_us() + 20'000'000;
  while (system_clock().monotonic_us() < give_up && process.running()) {
    const int fd = connect_to(address);
    if (fd >= 0) {
      ::close(fd);
      return {};
    }
    ::usleep(20'000);
  }
  return fail(ErrorCode::kUnavailable, "the peer did not start", address.text());
}

// PostgreSQL refuses to run as root: there its own user does.
std::vector<std::string> as_postgres(std::vector<std::string> command) {
  if (::getuid() != 0) return command;
  std::vector<std::string> out{"runuser", "-u", "postgres", "--"};
  out.insert(out.end(), command.begin(), command.end());
  return out;
}

std::string find_initdb() {
  std::string newest;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", error)) {
    const auto folder = entry.path() / "bin";
    if (std::filesystem::exists(folder / "initdb") && folder.string() > newest)
      newest = folder.string();
  }
  return newest;
}

}  // namespace

Result<Mosquitto> Mosquitto::start(const std::string& folder, std::vector<int> cores) {
  TRY_ASSIGN(const uint16_t port, free_port());
  const std::string file = folder + "/mosquitto.conf";
  std::ofstream(file)
      << "listener " << port << " 127.0.0.1\nallow_anonymous true\npersistence false\n"
      << "set_tcp_nodelay true\nlog_type none\nmax_inflight_messages 0\nmax_queued_messages 0\n";
  ProcessOptions options;
  options.arguments = {
      std::filesystem::exists("/usr/sbin/mosquitto") ? "/usr/sbin/mosquitto" : "mosquitto", "-c",
      file};
  options.cores = std::move(cores);
  options.log_file = folder + "/mosquitto.log";
  TRY_ASSIGN(Process process, Process::start(options));
  Mosquitto started{std::move(process), {"127.0.0.1", port}};
  TRY(wait_for_port(started.process, started.address));
  return started;
}

Result<PostgreSql> PostgreSql::start(const std::string& folder, std::vector<int> cores) {
  const std::string bin = find_initdb();
  if (bin.empty()) return fail(ErrorCode::kNotFound, "no PostgreSQL here: run `make setup`");
  TRY_ASSIGN(const uint16_t port, free_port());
  const std::string data = folder + "/pg";
  std::filesystem::create_directories(data);
  std::filesystem::permissions(folder, std::filesystem::perms(0755));
  if (::getuid() == 0) {
    ProcessOptions own;
    own.arguments = {"chown", "postgres", data};
    TRY_ASSIGN(Process chown, Process::start(own));
    TRY_ASSIGN([[maybe_unused]] const int code, chown.wait(5000));
  }
  ProcessOptions init;
  init.arguments = as_postgres(
      {bin + "/initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-instructions"});
  init.log_file = folder + "/initdb.log";
  init.directory = "/";
  TRY_ASSIGN(Process initdb, Process::start(init));
  TRY_ASSIGN(const int code, initdb.wait(60'000));
  if (code != 0) return fail(ErrorCode::kUnavailable, "initdb failed", init.log_file);
  ProcessOptions options;
  options.arguments = as_postgres(
      {bin + "/postgres", "-D", data, "-p", std::to_string(port), "-h", "127.0.0.1", "-k", "/tmp"});
  options.cores = std::move(cores);
  options.log_file = folder + "/postgres.log";
  options.directory = "/";
  TRY_ASSIGN(Process process, Process::start(options));
  PostgreSql started{
      std::move(process), port,
      "host=127.0.0.1 port=" + std::to_string(port) + " user=postgres dbname=postgres"};
  TRY(wait_for_port(started.process, {"127.0.0.1", port}));
  return started;
}

namespace {

class PileSubscriber {
 public:
  explicit PileSubscriber(const PileOptions& options) : o_(options) {}
  PileSubscriber(const PileSubscriber&) = delete;
  PileSubscriber& operator=(const PileSubscriber&) = delete;
  ~PileSubscriber() {
    if (fd_ >= 0) ::close(fd_);
    if (db_) PQfinish(db_);
  }

  Result<PileReport> run() {
    TRY(open());
    std::puts("ready");
    std::fflush(stdout);
    std::vector<char> in;
    int64_t last_commit = 0;
    while (true) {
      pollfd wait{fd_, POLLIN, 0};
      const int ready = ::poll(&wait, 1, 100);
      const int64_t now = system_clock().monotonic_us();
      if (ready > 0) {
        const size_t old = in.size();
        in.resize(old + 262'144);
        const ssize_t n = ::recv(fd_, in.data() + old, 262'144, 0);
        in.resize(old + static_cast<size_t>(std::max<ssize_t>(n, 0)));
        if (n <= 0) break;
        if (first_us_ == 0) first_us_ = now;
        last_us_ = now;
        TRY(take(in));
      }
      if (rows_ >= o_.rows || (rows_ > 0 && now - last_commit > 100'000)) {
        TRY(commit());
        last_commit = now;
      }
      if (first_us_ != 0 && now - last_us_ > static_cast<int64_t>(o_.idle_s * 1e6)) break;
    }
    TRY(commit());
    timespec cpu{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    return PileReport{values_, static_cast<double>(committed_us_ - first_us_) / 1e6,
                      static_cast<double>(cpu.tv_sec) + static_cast<double>(cpu.tv_nsec) / 1e9};
  }

 private:
  Status sql(const char* text, ExecStatusType wanted) {
    PGresult* result = PQexec(db_, text);
    const bool good = PQresultStatus(result) == wanted;
    PQclear(result);
    if (!good)
      return fail(ErrorCode::kInternal, std::string("PostgreSQL: ") + PQerrorMessage(db_), text);
    return {};
  }

  Status open() {
    for (int i = 0; i < 100 && (!db_ || PQstatus(db_) != CONNECTION_OK); ++i) {
      if (db_) {
        PQfinish(db_);
        ::usleep(100'000);  // it answers the port before it takes connections
      }
      db_ = PQconnectdb(o_.postgres.c_str());
    }
    if (PQstatus(db_) != CONNECTION_OK) return fail(ErrorCode::kUnavailable, PQerrorMessage(db_));
    TRY(
        sql("CREATE TABLE IF NOT EXISTS ts_kv (device text, ts bigint, key text, value double "
            "precision, "
            "PRIMARY KEY (device, key, ts))",
            PGRES_COMMAND_OK));
    fd_ = connect_to(o_.broker);
    if (fd_ < 0) return fail(ErrorCode::kUnavailable, "cannot connect to the broker");
    const std::string_view connect("\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04pile", 18);
    const std::string_view subscribe(
        "\x82\x18\x00\x01\x00\x13"
        "devices/+/telemetry\x01",
        26);
    std::array<char, 16> answer{};
    if (::send(fd_, connect.data(), connect.size(), 0) < 0 ||
        ::recv(fd_, answer.data(), 4, MSG_WAITALL) != 4 ||
        ::send(fd_, subscribe.data(), subscribe.size(), 0) < 0 ||
        ::recv(fd_, answer.data(), 5, MSG_WAITALL) != 5)
      return fail(ErrorCode::kUnavailable, "the broker refused the subscriber");
    return {};
  }

  // Every whole PUBLISH in `in`; QoS 1 is acknowledged.
  Status take(std::vector<char>& in) {
    size_t at = 0;
    std::string acks;
    while (at + 2 <= in.size()) {
      size_t length = 0, shift = 0, header = 1;
      while (at + header < in.size()) {
        const auto digit = static_cast<uint8_t>(in[at + header++]);
        length |= static_cast<size_t>(digit & 127) << shift;
        shift += 7;
        if (!(digit & 128)) break;
      }
      if (at + header + length > in.size()) break;
      const auto first = static_cast<uint8_t>(in[at]);
      const char* body = in.data() + at + header;
      if ((first >> 4) == 3) {
        const size_t topic =
            static_cast<size_t>(static_cast<uint8_t>(body[0])) << 8 | static_cast<uint8_t>(body[1]);
        const size_t id = (first & 6) ? 2 : 0;
        if (id) acks.append("\x40\x02", 2).append(body + 2 + topic, 2);
        TRY(store({body + 2, topic}, {body + 2 + topic + id, length - 2 - topic - id}));
      }
      at += header + length;
    }
    in.erase(in.begin(), in.begin() + static_cast<ptrdiff_t>(at));
    if (!acks.empty()) (void)!::send(fd_, acks.data(), acks.size(), MSG_NOSIGNAL);
    return {};
  }

  Status store(std::string_view topic, std::string_view payload) {
    padded_.assign(payload);
    padded_.reserve(padded_.size() + simdjson::SIMDJSON_PADDING);
    simdjson::dom::element document;
    if (parser_.parse(padded_).get(document))
      return fail(ErrorCode::kInternal, "the pile got a payload that is no JSON");
    const std::string_view device = topic.substr(8, topic.size() - 18);
    int64_t ts = 0;
    simdjson::dom::object values;
    if (document["ts"].get(ts) || document["values"].get(values)) return {};
    for (const auto [key, value] : values) {
      double number = 0;
      if (value.get(number)) continue;
      if (rows_ == 0) TRY(sql("COPY ts_kv FROM STDIN", PGRES_COPY_IN));
      std::array<char, 256> line{};
      const int n =
          std::snprintf(line.data(), line.size(), "%.*s\t%lld\t%.*s\t%.17g\n",
                        static_cast<int>(device.size()), device.data(), static_cast<long long>(ts),
                        static_cast<int>(key.size()), key.data(), number);
      if (PQputCopyData(db_, line.data(), n) != 1)
        return fail(ErrorCode::kInternal, PQerrorMessage(db_));
      ++rows_;
      ++values_;
    }
    return {};
  }

  Status commit() {
    if (rows_ == 0) return {};
    rows_ = 0;
    if (PQputCopyEnd(db_, nullptr) != 1) return fail(ErrorCode::kInternal, PQerrorMessage(db_));
    PGresult* result = PQgetResult(db_);
    const bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    while ((result = PQgetResult(db_)) != nullptr) PQclear(result);
    committed_us_ = system_clock().monotonic_us();
    if (!good)
      return fail(ErrorCode::kInternal, std::string("COPY failed: ") + PQerrorMessage(db_));
    return {};
  }

  PileOptions o_;
  int fd_ = -1;
  PGconn* db_ = nullptr;
  simdjson::dom::parser parser_;
  std::string padded_;
  size_t rows_ = 0;
  uint64_t values_ = 0;
  int64_t first_us_ = 0, last_us_ = 0, committed_us_ = 0;
};

}  // namespace

Result<PileReport> run_pile_subscriber(const PileOptions& options) {
  return PileSubscriber(options).run();
}

}  // namespace penstock::app
