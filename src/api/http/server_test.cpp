#include "api/http/server.h"

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"

namespace penstock::api {
namespace {

/// A client that sends what no library would let it.
class RawClient {
 public:
  explicit RawClient(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { close(); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  /// Reads until `until` is in what came, the peer closes, or ten seconds pass.
  std::string read_until(std::string_view until) {
    while (received_.find(until) == std::string::npos) {
      pollfd wait{fd_, POLLIN, 0};
      if (::poll(&wait, 1, 10'000) <= 0) return received_ + "<timeout>";
      char bytes[65536];
      const auto n = ::recv(fd_, bytes, sizeof bytes, 0);
      if (n <= 0) {
        closed_ = true;
        return received_;
      }
      received_.append(bytes, static_cast<size_t>(n));
    }
    return received_;
  }
  /// Everything until the peer closes.
  std::string read_all() { return read_until("\x01never\x01"); }
  void forget() { received_.clear(); }
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] bool connected() const { return connected_; }

 private:
  int fd_;
  bool connected_ = false;
  std::atomic<bool> closed_{false};
  std::string received_;
};

class Echo : public WebSocketSession {
 public:
  void on_open(std::shared_ptr<WebSocketConnection> connection) override {
    connection_ = std::move(connection);
  }
  void on_message(std::string_view text) override {
    if (text == "bye") return connection_->close(4001, "as you wish");
    const std::lock_guard lock(mutex_);
    waiting_ = "echo " + std::string(text);
  }
  std::optional<std::string> next_message() override {
    const std::lock_guard lock(mutex_);
    return std::exchange(waiting_, std::nullopt);
  }
  void on_close() override {
    connection_.reset();
    closed = true;
  }
  std::atomic<bool> closed{false};

 private:
  std::mutex mutex_;
  std::shared_ptr<WebSocketConnection> connection_;
  std::optional<std::string> waiting_;
};

class Numbers : public BodySource {
 public:
  Result<size_t> read(std::span<char> out) override {
    if (left_ == 0) return 0;
    const size_t n = std::min(left_, out.size());
    std::fill_n(out.begin(), n, 'x');
    left_ -= n;
    return n;
  }

 private:
  size_t left_ = 1'000'000;
};

class TestApplication : public Application {
 public:
  Lane lane(const Request& request) override {
    return request.path == "/slow" ? Lane::kSlow : Lane::kQuick;
  }
  Response handle(Request& request, const Cancellation& cancellation) override {
    if (request.path == "/slow") return wait_for_cancellation(cancellation);
    if (request.path == "/stream") {
      Response response = Response::text("", "text/plain");
      response.source = std::make_unique<Numbers>();
      return response;
    }
    if (request.path == "/nothing") return Response::no_content();
    return Response::json({{"method", name(request.method)},
                           {"path", request.path},
                           {"body", request.body.size()},
                           {"peer", request.peer_address}});
  }
  tl::expected<std::shared_ptr<WebSocketSession>, Response> upgrade(Request& request) override {
    if (request.path != "/live")
      return tl::unexpected(problem(Error{ErrorCode::kNotFound, "no socket here", {}}, request.id));
    echo = std::make_shared<Echo>();
    return echo;
  }
  bool wait_until_cancelled() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return cancelled_; });
  }
  bool wait_until_running() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return running_; });
  }
  std::shared_ptr<Echo> echo;

 private:
  Response wait_for_cancellation(const Cancellation& cancellation) {
    {
      const std::lock_guard lock(mutex_);
      running_ = true;
    }
    changed_.notify_all();
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!cancellation.cancelled() && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    {
      const std::lock_guard lock(mutex_);
      cancelled_ = cancellation.cancelled();
    }
    changed_.notify_all();
    return problem(Error{ErrorCode::kTimeout, "cancelled", {}}, "");
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool running_ = false, cancelled_ = false;
};

class ServerTest : public ::testing::Test {
 protected:
  void start(const std::function<void(HttpOptions&)>& change = [](HttpOptions&) {}) {
    HttpOptions options;
    options.port = 0;
    change(options);
    auto server = HttpServer::start(options, application_, metrics_);
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
  }
  std::string once(std::string_view request) {
    RawClient client(server_->port());
    client.send(request);
    return client.read_all();
  }
  static bool is(const std::string& response, int status) {
    return response.starts_with("HTTP/1.1 " + std::to_string(status) + " ");
  }

  TestApplication application_;
  Metrics metrics_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(ServerTest, AnswersAndKeepsTheConnection) {
  start();
  RawClient client(server_->port());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /a%20b?x=1 HTTP/1.1\r\nHost: h\r\n\r\n");
    const auto response = client.read_until("\"peer\":\"127.0.0.1\"}");
    EXPECT_TRUE(is(response, 200)) << response;
    EXPECT_NE(response.find("\"path\":\"/a b\""), std::string::npos) << response;
    EXPECT_NE(response.find("content-security-policy: default-src 'none'"), std::string::npos);
    EXPECT_NE(response.find("x-content-type-options: nosniff"), std::string::npos);
    EXPECT_NE(response.find("x-request-id: req_"), std::string::npos);
    client.forget();
  }
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  start();
  const auto all = once(
      "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
      "POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
  const auto one = all.find("\"path\":\"/1\""), two = all.find("\"path\":\"/2\""),
             three = all.find("\"path\":\"/3\"");
  ASSERT_NE(three, std::string::npos) << all;
  EXPECT_TRUE(one < two && two < three) << all;
}

TEST_F(ServerTest, HeadHasTheLengthAndNoBody) {
  start();
  const auto response = once("HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(is(response, 200)) << response;
  EXPECT_NE(response.find("Content-Length: "), std::string::npos) << response;
  EXPECT_TRUE(response.ends_with("\r\n\r\n")) << response;
  const auto streamed = once("HEAD /stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(is(streamed, 200));
  EXPECT_TRUE(streamed.ends_with("\r\n\r\n"));
  const auto nothing = once("GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(is(nothing, 204));
  EXPECT_EQ(nothing.find("Content-Length"), std::string::npos) << nothing;
}

TEST_F(ServerTest, StreamsInChunks) {
  start();
  const auto response = once("GET /stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(response.find("Transfer-Encoding: chunked"), std::string::npos);
  EXPECT_EQ(std::count(response.begin() + static_cast<long>(response.find("\r\n\r\n")),
                       response.end(), 'x'),
            1'000'000);
  EXPECT_TRUE(response.ends_with("0\r\n\r\n"));
  const auto old = once("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.find("chunked"), std::string::npos) << "HTTP/1.0 does not know chunks";
  EXPECT_EQ(std::count(old.begin() + static_cast<long>(old.find("\r\n\r\n")), old.end(), 'x'),
            1'000'000);
}

TEST_F(ServerTest, RefusesHugeHeaders) {
  start();
  const auto response =
      once("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(100'000, 'a') + "\r\n\r\n");
  EXPECT_TRUE(is(response, 431)) << response.substr(0, 300);
  EXPECT_NE(response.find("application/problem+json"), std::string::npos);
  std::string many = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 5000; ++i) many += "X" + std::to_string(i) + ": y\r\n";
  EXPECT_TRUE(is(once(many + "\r\n"), 431));
  EXPECT_TRUE(is(once("GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n"), 431));
}

TEST_F(ServerTest, RefusesHugeBodies) {
  start([](HttpOptions& options) { options.limits.body_bytes_max = 1000; });
  EXPECT_TRUE(is(once("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n"), 413));
  const auto chunked =
      once("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" +
           std::string(4096, 'a') + "\r\n0\r\n\r\n");
  EXPECT_TRUE(is(chunked, 413)) << chunked;
  EXPECT_TRUE(
      is(once("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n" +
              std::string(1000, 'a')),
         200));
}

TEST_F(ServerTest, RefusesWhatIsNoHttp) {
  start();
  const std::string_view bad[] = {
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
      "GET / HTTP/9.9\r\nHost: h\r\n\r\n",
      "GET /\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: "
      "chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
      "GET / HTTP/1.1\r\n\r\n",                         // no Host
      "GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n",  // a proxy's form
      "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /%ff%fe HTTP/1.1\r\nHost: h\r\n\r\n",
  };
  for (const auto request : bad) {
    const auto response = once(request);
    EXPECT_TRUE(is(response, 400) || response.empty()) << request << "\n-> " << response;
    EXPECT_EQ(response.find("<timeout>"), std::string::npos) << request;
  }
  EXPECT_TRUE(is(once("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), 200))
      << "still there for the next one";
}

TEST_F(ServerTest, ASlowlorisIsCutOff) {
  start([](HttpOptions& options) {
    options.limits.header_timeout = Duration::millis(300);
    options.limits.body_timeout = Duration::millis(300);
  });
  const auto begin = std::chrono::steady_clock::now();
  RawClient drip(server_->port());
  drip.send("GET / HTTP/1.1\r\n");
  std::thread dripping([&] {  // a header line now and then must not put the deadline off
    for (int i = 0; i < 100 && !drip.closed(); ++i) {
      drip.send("X-" + std::to_string(i) + ": y\r\n");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  const auto response = drip.read_all();
  dripping.join();
  EXPECT_EQ(response.find("<timeout>"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(9));
  const auto body = once("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(body, "");
}

TEST_F(ServerTest, IdleConnectionsEnd) {
  start([](HttpOptions& options) { options.limits.idle_timeout = Duration::millis(100); });
  RawClient client(server_->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  const auto response = client.read_all();
  EXPECT_TRUE(is(response, 200));
  EXPECT_TRUE(client.closed());
}

TEST_F(ServerTest, LimitsConnectionsOfOneClient) {
  start([](HttpOptions& options) { options.limits.connections_per_client_max = 2; });
  RawClient one(server_->port()), two(server_->port());
  for (RawClient* client : {&one, &two}) {
    client->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(is(client->read_until("\"}"), 200));
  }
  RawClient three(server_->port());
  three.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(three.read_all(), "");
  two.close();
  std::string again;  // the server learns of the close in its own time
  for (int i = 0; i < 1000 && again.empty(); ++i)
    again = once("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(is(again, 200));
}

TEST_F(ServerTest, LimitsRequestsASecond) {
  start([](HttpOptions& options) {
    options.limits.requests_per_s_max = 0.001;
    options.limits.requests_burst_max = 3;
  });
  RawClient client(server_->port());
  for (int i = 0; i < 4; ++i) {
    client.forget();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(is(client.read_until("}"), i < 3 ? 200 : 429)) << i;
  }
}

TEST_F(ServerTest, TellsTheHandlerWhenTheClientGoesAway) {
  start();
  RawClient client(server_->port());
  client.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(application_.wait_until_running());
  client.close();
  EXPECT_TRUE(application_.wait_until_cancelled());
}

TEST_F(ServerTest, TellsTheHandlerWhenItsTimeIsOver) {
  start([](HttpOptions& options) { options.limits.handler_timeout = Duration::millis(50); });
  const auto response = once("GET /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(is(response, 504)) << response;
}

TEST_F(ServerTest, StopsWhileHandlersRun) {
  start();
  RawClient client(server_->port());
  client.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(application_.wait_until_running());
  server_.reset();
  EXPECT_TRUE(application_.wait_until_cancelled());
  client.read_all();
  EXPECT_TRUE(client.closed());
}

TEST_F(ServerTest, RefusesWhenTooManyWait) {
  start([](HttpOptions& options) {
    options.slow_threads = 1;
    options.limits.queue_max = 1;
  });
  RawClient running(server_->port()), waiting(server_->port());
  running.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(application_.wait_until_running());
  waiting.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\nGET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  std::string refused;  // until the second has taken the one place in the queue
  for (int i = 0; i < 1000 && !is(refused, 503); ++i) {
    RawClient third(server_->port());
    third.send("GET /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    pollfd unused{-1, 0, 0};
    ::poll(&unused, 1, 5);
    third.send("x");
    refused = is(refused, 503) ? refused : third.read_until("}");
    if (refused.ends_with("<timeout>")) break;
  }
  EXPECT_TRUE(is(refused, 503)) << refused;
  EXPECT_TRUE(is(once("GET /quick HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), 200))
      << "the quick lane is free";
}

TEST_F(ServerTest, ContinuesWhenAsked) {
  start();
  RawClient client(server_->port());
  client.send("POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 100 Continue"));
  client.send("hello");
  EXPECT_NE(client.read_until("}").find("\"body\":5"), std::string::npos);
}

TEST_F(ServerTest, RefusesAnAddressInUse) {
  start();
  HttpOptions options;
  options.port = server_->port();
  const auto second = HttpServer::start(options, application_, metrics_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().text().find(std::to_string(server_->port())), std::string::npos);
  options.address = "not an address";
  EXPECT_FALSE(HttpServer::start(options, application_, metrics_));
}

constexpr std::string_view kUpgrade =
    "GET /live HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A masked client frame with the mask 0.
std::string frame(uint8_t opcode, std::string_view text) {
  std::string out;
  out += static_cast<char>(0x80 | opcode);
  out += static_cast<char>(0x80 | text.size());
  out.append(4, '\0');
  out += text;
  return out;
}

TEST_F(ServerTest, SpeaksWebSocket) {
  start();
  RawClient client(server_->port());
  client.send(kUpgrade);
  const auto accepted = client.read_until("\r\n\r\n");
  EXPECT_TRUE(is(accepted, 101)) << accepted;
  EXPECT_NE(accepted.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos) << accepted;
  client.forget();
  client.send(frame(1, "hello"));
  EXPECT_EQ(client.read_until("hello"),
            "\x81\x0a"
            "echo hello");
  client.forget();
  client.send(frame(1, "bye"));
  const auto closing = client.read_until("wish");
  EXPECT_EQ(closing,
            "\x88\x0d\x0f\xa1"
            "as you wish");
  client.send(frame(8, "\x0f\xa1"));
  client.read_all();
  client.close();
  for (int i = 0; i < 1000 && !application_.echo->closed; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(application_.echo->closed);
}

TEST_F(ServerTest, RefusesBadWebSockets) {
  start([](HttpOptions& options) { options.limits.message_bytes_max = 1000; });
  std::string elsewhere(kUpgrade);
  elsewhere.replace(elsewhere.find("/live"), 5, "/nope");
  EXPECT_TRUE(is(once(elsewhere), 404));
  const std::string evil[] = {
      "\x81\x05hello",                                              // not masked
      frame(1, "\xff\xfe"),                                         // not UTF-8
      frame(2, "binary"),                                           // not text
      std::string("\xff\x85\0\0\0\0hello", 11),                     // reserved bits
      std::string("\x81\xff\0\0\0\0\xff\xff\xff\xff\0\0\0\0", 14),  // 4 GiB
  };
  for (const auto& bytes : evil) {
    RawClient client(server_->port());
    client.send(kUpgrade);
    client.read_until("\r\n\r\n");
    client.send(bytes);
    client.forget();
    client.send(frame(8, "\x03\xe8"));
    const auto rest = client.read_all();
    EXPECT_EQ(rest.find("<timeout>"), std::string::npos);
    EXPECT_TRUE(client.closed());
    EXPECT_EQ(rest.find("echo"), std::string::npos);
  }
}

}  // namespace
}  // namespace penstock::api
