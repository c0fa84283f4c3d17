#include "app/bench/load.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/io.h"

namespace penstock::app {
namespace {

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

void append_u16(std::string& out, size_t n) {
  out += static_cast<char>(n >> 8);
  out += static_cast<char>(n & 255);
}
void append_text(std::string& out, std::string_view text) {
  append_u16(out, text.size());
  out += text;
}
std::string packet(uint8_t first, const std::string& body) {
  std::string out(1, static_cast<char>(first));
  size_t left = body.size();
  do {
    const auto digit = static_cast<uint8_t>(left & 127);
    left >>= 7;
    out += static_cast<char>(left ? digit | 128 : digit);
  } while (left);
  return out + body;
}

// A connected 3.1.1 client with a clean session and no keep-alive; anonymous without a token.
Result<int> connect_client(const NetAddress& broker, const std::string& client_id,
                           const std::string& token) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto refuse = [&](ErrorCode code, const std::string& why) {
    if (fd >= 0) ::close(fd);
    return fail(code, why, client_id);
  };
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(broker.port);
  if (fd < 0 || inet_pton(AF_INET, broker.host.c_str(), &address.sin_addr) != 1 ||
      ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return refuse(ErrorCode::kUnavailable,
                  "cannot connect to " + broker.text() + ": " + std::strerror(errno));
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  std::string body;
  append_text(body, "MQTT");
  body += '\x04';
  body += token.empty() ? '\x02' : '\xC2';
  append_u16(body, 0);
  append_text(body, client_id);
  if (!token.empty()) {
    append_text(body, client_id);
    append_text(body, token);
  }
  const std::string connect = packet(0x10, body);
  std::array<char, 4> connack{};
  if (::send(fd, connect.data(), connect.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(connect.size()) ||
      ::recv(fd, connack.data(), connack.size(), MSG_WAITALL) != 4 || connack[0] != 0x20 ||
      connack[3] != 0)
    return refuse(ErrorCode::kPermissionDenied, "the broker refused the connection");
  return fd;
}

// One connection: a ready PUBLISH whose packet id, time and digits are patched in place.
struct Publisher {
  int fd = -1;
  std::vector<std::string> variants;
  size_t id_at = 0, time_at = 0;
  int64_t time_ms = 0;
  uint32_t next_variant = 0;
  uint16_t next_id = 1;
  int outstanding = 0;
  std::string out;  // what the socket did not take
  bool writable_wanted = false;
  int64_t probe_us = 0;  // when the publish of probe_id went out
  uint16_t probe_id = 0;
  std::string in;

  void append_publish(int qos) {
    std::string& message = variants[next_variant++ % variants.size()];
    if (qos > 0) {
      message[id_at] = static_cast<char>(next_id >> 8);
      message[id_at + 1] = static_cast<char>(next_id & 255);
      next_id = next_id == 65'535 ? 1 : static_cast<uint16_t>(next_id + 1);
    }
    int64_t t = time_ms++;
    for (int i = 12; i >= 0; --i, t /= 10)
      message[time_at + static_cast<size_t>(i)] = static_cast<char>('0' + t % 10);
    out += message;
  }
};

class Load {
 public:
  explicit Load(const LoadOptions& options) : o_(options), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  ~Load() {
    for (const Publisher& p : publishers_)
      if (p.fd >= 0) ::close(p.fd);
    ::close(epoll_);
  }

  Result<LoadReport> run() {
    publishers_.resize(static_cast<size_t>(o_.connections));
    for (size_t i = 0; i < publishers_.size(); ++i) TRY(open(publishers_[i], i));
    for (Publisher& p : publishers_) fill(p);
    const int64_t start = now_us();
    const int64_t measure = start + static_cast<int64_t>(o_.warm_up_s * 1e6);
    const int64_t end = measure + static_cast<int64_t>(o_.seconds * 1e6);
    bool measuring = false;
    int64_t began = 0;
    uint64_t acked_before = 0;
    double cpu_before = 0;
    int64_t now = start;
    for (; now < end; now = now_us()) {
      if (!measuring && now >= measure) {
        measuring = true;
        began = now;
        acked_before = progress();
        cpu_before = cpu_seconds();
        latencies_.clear();
      }
      TRY(turn(50));
    }
    LoadReport report;
    report.seconds = static_cast<double>(now - began) / 1e6;
    report.acknowledged = progress() - acked_before;
    report.generator_cpu = (cpu_seconds() - cpu_before) / report.seconds;
    report.messages_per_s = static_cast<double>(report.acknowledged) / report.seconds;
    stopping_ = true;
    const int64_t give_up = now_us() + 10'000'000;
    while (o_.qos > 0 && acked_ < sent_ && now_us() < give_up) TRY(turn(50));
    for (Publisher& p : publishers_) TRY(drain_out(p, give_up));
    report.sent_in_all = sent_;
    report.acknowledged_in_all = acked_;
    report.bytes_per_message = publishers_[0].variants[0].size();
    std::sort(latencies_.begin(), latencies_.end());
    if (!latencies_.empty()) {
      report.latency_p50_us = static_cast<double>(latencies_[latencies_.size() / 2]);
      report.latency_p99_us = static_cast<double>(latencies_[latencies_.size() * 99 / 100]);
    }
    return report;
  }

 private:
  static int64_t now_us() { return system_clock().monotonic_us(); }
  [[nodiscard]] uint64_t progress() const { return o_.qos > 0 ? acked_ : written_; }

  Status open(Publisher& p, size_t index) {
    const std::string device = o_.device_prefix + std::to_string(index);
    TRY_ASSIGN(p.fd, connect_client(o_.broker, device,
                                    index < o_.tokens.size() ? o_.tokens[index] : std::string()));
    fcntl(p.fd, F_SETFL, fcntl(p.fd, F_GETFL) | O_NONBLOCK);
    render(p, device, index);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = index;
    CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, p.fd, &event) == 0);
    return {};
  }

  // 64 variants, so that values move; about 120 bytes of JSON with four values each.
  void render(Publisher& p, const std::string& device, size_t index) {
    p.time_ms = o_.first_time_ms;
    const std::string topic = "devices/" + device + "/telemetry";
    for (int k = 0; k < 64; ++k) {
      const auto at = [&](double base, double swing, int seed) {
        const auto wave =
            static_cast<double>((k * 37 + seed * 11 + static_cast<int>(index) * 5) % 64) / 64 - 0.5;
        std::array<char, 32> text{};
        std::snprintf(text.data(), text.size(), "%.2f", base + swing * wave);
        return std::string(text.data());
      };
      std::string body;
      append_text(body, topic);
      if (o_.qos > 0) {
        p.id_at = body.size();
        append_u16(body, 0);
      }
      body += "{\"ts\":";
      p.time_at = body.size();
      body += "0000000000000,\"values\":{\"dischargePressure\":" + at(7.1, 0.6, 1) +
              ",\"oilTemperature\":" + at(72, 4, 2) + ",\"motorCurrent\":" + at(128, 9, 3) +
              ",\"vibrationVelocity\":" + at(2.1, 0.4, 4) + "}}";
      p.variants.push_back(packet(static_cast<uint8_t>(0x30 | (o_.qos << 1)), body));
    }
    const size_t header = p.variants[0].size() > 129 ? 3 : 2;
    p.id_at += header;
    p.time_at += header;
  }

  void fill(Publisher& p) {
    if (stopping_) return;
    if (o_.qos > 0) {
      while (p.outstanding < o_.in_flight) {
        if (p.probe_us == 0) {
          p.probe_us = now_us();
          p.probe_id = p.next_id;
        }
        p.append_publish(o_.qos);
        ++p.outstanding;
        ++sent_;
      }
    } else if (p.out.size() < 32'768) {
      for (int i = 0; i < 128; ++i, ++sent_) p.append_publish(0);
    }
    (void)write(p);
  }

  bool write(Publisher& p) {
    while (!p.out.empty()) {
      const ssize_t n = ::send(p.fd, p.out.data(), p.out.size(), MSG_NOSIGNAL);
      if (n <= 0) break;
      if (o_.qos == 0) written_bytes_ += static_cast<uint64_t>(n);
      p.out.erase(0, static_cast<size_t>(n));
    }
    if (o_.qos == 0) written_ = written_bytes_ / p.variants[0].size();
    const bool want = !p.out.empty() || (o_.qos == 0 && !stopping_);
    if (want != p.writable_wanted) {
      epoll_event event{};
      event.events = EPOLLIN | (want ? static_cast<uint32_t>(EPOLLOUT) : 0U);
      event.data.u64 = static_cast<uint64_t>(&p - publishers_.data());
      epoll_ctl(epoll_, EPOLL_CTL_MOD, p.fd, &event);
      p.writable_wanted = want;
    }
    return p.out.empty();
  }

  Status drain_out(Publisher& p, int64_t give_up) {
    while (!write(p) && now_us() < give_up) TRY(turn(20));
    return {};
  }

  Status read(Publisher& p) {
    std::array<char, 65'536> chunk;
    const ssize_t n = ::recv(p.fd, chunk.data(), chunk.size(), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (n <= 0) return fail(ErrorCode::kUnavailable, "the broker closed a connection under load");
    p.in.append(chunk.data(), static_cast<size_t>(n));
    size_t at = 0;
    for (; at + 4 <= p.in.size(); at += 4) {
      if (p.in[at] != 0x40 || p.in[at + 1] != 2)
        return fail(ErrorCode::kInternal, "expected a PUBACK from the broker, got another packet");
      --p.outstanding;
      ++acked_;
      const auto id = static_cast<uint16_t>(static_cast<uint8_t>(p.in[at + 2]) << 8 |
                                            static_cast<uint8_t>(p.in[at + 3]));
      if (p.probe_us != 0 && id == p.probe_id) {
        latencies_.push_back(now_us() - p.probe_us);
        p.probe_us = 0;
      }
    }
    p.in.erase(0, at);
    return {};
  }

  Status turn(int timeout_ms) {
    std::array<epoll_event, 128> events{};
    const int n = epoll_wait(epoll_, events.data(), events.size(), timeout_ms);
    for (int i = 0; i < n; ++i) {
      Publisher& p = publishers_[events[static_cast<size_t>(i)].data.u64];
      if (events[static_cast<size_t>(i)].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) TRY(read(p));
      fill(p);
      if (stopping_) write(p);
    }
    return {};
  }

  LoadOptions o_;
  int epoll_;
  std::vector<Publisher> publishers_;
  uint64_t sent_ = 0, acked_ = 0, written_ = 0, written_bytes_ = 0;
  std::vector<int64_t> latencies_;
  bool stopping_ = false;
};

}  // namespace

Result<IdleConnections> IdleConnections::open(const NetAddress& broker, int count) {
  IdleConnections out;
  for (int i = 0; i < count; ++i) {
    TRY_ASSIGN(const int fd, connect_client(broker, "idle-" + std::to_string(i), {}));
    out.sockets_.push_back(fd);
  }
  return out;
}

IdleConnections::IdleConnections(IdleConnections&& other) noexcept
    : sockets_(std::exchange(other.sockets_, {})) {}

IdleConnections::~IdleConnections() {
  for (const int fd : sockets_) ::close(fd);
}

Result<LoadReport> run_load(const LoadOptions& options) { return Load(options).run(); }

}  // namespace penstock::app
