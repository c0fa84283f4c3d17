#include "api/http/server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_set>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <fmt/format.h>
#include <sys/socket.h>

#include "api/http/client_limits.h"
#include "api/http/security_headers.h"
#include "base/io.h"
#include "base/log.h"

namespace penstock::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::string_view kRoom = "http";
constexpr size_t kChunkBytes = 128 * 1024;

std::chrono::microseconds chrono(Duration duration) {
  return std::chrono::microseconds(duration.us);
}

struct ServerMetrics {
  explicit ServerMetrics(Metrics& metrics)
      : ok(metrics.counter("penstock_http_responses_total", "HTTP responses by class",
                           {{"class", "2xx"}})),
        redirected(metrics.counter("penstock_http_responses_total", "", {{"class", "3xx"}})),
        refused(metrics.counter("penstock_http_responses_total", "", {{"class", "4xx"}})),
        failed(metrics.counter("penstock_http_responses_total", "", {{"class", "5xx"}})),
        limited(metrics.counter("penstock_http_limited_total",
                                "Connections and requests refused because a limit was reached")),
        connections(metrics.gauge("penstock_http_connections", "Open HTTP connections")),
        websockets(metrics.gauge("penstock_http_websockets", "Open WebSocket clients")),
        duration(metrics.histogram("penstock_http_request_us",
                                   "From the last byte of a request to its response, in us")) {}
  void count(int status) {
    (status < 300 ? ok : status < 400 ? redirected : status < 500 ? refused : failed).add();
  }
  Counter &ok, &redirected, &refused, &failed, &limited;
  Gauge &connections, &websockets;
  Histogram& duration;
};

/// A WebSocket client as the server's end sees it.
class OpenSocket {
 public:
  virtual ~OpenSocket() = default;
  virtual void post_wake() = 0;
  virtual void post_close(uint16_t code, std::string reason) = 0;
  virtual void end() = 0;
};

/// What sessions hold of a socket. Not the socket itself: a session may outlive server and
/// io_context.
class SocketHandle : public WebSocketConnection {
 public:
  explicit SocketHandle(OpenSocket* socket) : socket_(socket) {}
  void wake() override {
    const std::lock_guard lock(mutex_);
    if (socket_ != nullptr) socket_->post_wake();
  }
  void close(uint16_t code, std::string reason) override {
    const std::lock_guard lock(mutex_);
    if (socket_ != nullptr) socket_->post_close(code, std::move(reason));
  }
  void detach() {
    const std::lock_guard lock(mutex_);
    socket_ = nullptr;
  }

 private:
  std::mutex mutex_;
  OpenSocket* socket_;
};

/// What all connections share. Members that handlers touch when they are destroyed come before the
/// io_context.
struct Core {
  Core(HttpOptions o, Application& a, Metrics& m)
      : options(std::move(o)),
        application(a),
        metrics(m),
        clients(options.limits.connections_per_client_max, options.limits.requests_per_s_max,
                options.limits.requests_burst_max),
        senders(options.limits.connections_max, options.limits.ingest_per_s_max,
                options.limits.ingest_burst_max),
        io(static_cast<int>(std::max(1u, options.network_threads))),
        quick(std::max(1u, options.quick_threads)),
        slow(std::max(1u, options.slow_threads)),
        ingest(std::max(1u, options.ingest_threads)) {}

  asio::thread_pool& pool(Lane lane) {
    return lane == Lane::kQuick ? quick : lane == Lane::kSlow ? slow : ingest;
  }
  std::atomic<uint32_t>& waiting(Lane lane) {
    return lane == Lane::kQuick  ? quick_waiting
           : lane == Lane::kSlow ? slow_waiting
                                 : ingest_waiting;
  }
  /// Handlers that run now, so that shutdown can tell them to stop.
  void track(const std::shared_ptr<Cancellation>& cancellation) {
    const std::lock_guard lock(running_mutex);
    running.insert(cancellation);
  }
  void untrack(const std::shared_ptr<Cancellation>& cancellation) {
    const std::lock_guard lock(running_mutex);
    running.erase(cancellation);
  }

  const HttpOptions options;
  Application& application;
  ServerMetrics metrics;
  ClientLimits clients;
  ClientLimits senders;  ///< of samples: connections are counted by `clients`
  std::atomic<uint32_t> connections{0}, websockets{0}, quick_waiting{0}, slow_waiting{0},
      ingest_waiting{0};
  std::atomic<bool> stopping{false};
  std::mutex running_mutex;
  std::unordered_set<std::shared_ptr<Cancellation>> running;
  std::unordered_set<OpenSocket*> sockets;  ///< under running_mutex as well
  asio::io_context io;
  asio::thread_pool quick, slow, ingest;  // last: what waits in them holds sockets of `io`
};

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[40];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc)};
}

tcp::socket& socket_of(beast::tcp_stream& stream) { return stream.socket(); }
tcp::socket& socket_of(beast::ssl_stream<beast::tcp_stream>& stream) {
  return stream.next_layer().socket();
}
beast::tcp_stream& tcp_of(beast::tcp_stream& stream) { return stream; }
beast::tcp_stream& tcp_of(beast::ssl_stream<beast::tcp_stream>& stream) {
  return stream.next_layer();
}
template <class Stream>
constexpr bool kIsTls = !std::is_same_v<Stream, beast::tcp_stream>;

/// Copies a parsed Beast request into ours; false when its target is not valid.
bool convert(const http::request<http::string_body>& from, Request& to) {
  to.method = parse_method({from.method_string().data(), from.method_string().size()});
  to.headers.reserve(16);
  for (const auto& field : from) {
    std::string key(field.name_string());
    std::transform(key.begin(), key.end(), key.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    to.headers.emplace_back(std::move(key), std::string(field.value()));
  }
  return parse_target({from.target().data(), from.target().size()}, to);
}

/// Fills a Beast response's status line and headers from ours.
template <class Body>
void fill_header(http::response<Body>& to, const Response& from, unsigned version,
                 bool keep_alive) {
  to.version(version);
  to.result(static_cast<unsigned>(from.status));
  to.reason(
      beast::string_view(reason_phrase(from.status).data(), reason_phrase(from.status).size()));
  to.set(http::field::date, http_date());
  for (const auto& [key, value] : from.headers) to.insert(key, value);
  to.keep_alive(keep_alive);
}

// ---------------------------------------------------------------------------------------------
// WebSocket

template <class Stream>
class WebSocketClient : public OpenSocket,
                        public std::enable_shared_from_this<WebSocketClient<Stream>> {
 public:
  /// shared_ptr: the stream's pending operations keep it alive.
  WebSocketClient(Core& core, Stream&& stream, std::shared_ptr<WebSocketSession> session,
                  std::string address)
      : core_(core),
        stream_(std::move(stream)),
        session_(std::move(session)),
        address_(std::move(address)) {
    core_.metrics.websockets.set(++core_.websockets);
    const std::lock_guard lock(core_.running_mutex);
    core_.sockets.insert(this);
  }
  WebSocketClient(const WebSocketClient&) = delete;
  WebSocketClient& operator=(const WebSocketClient&) = delete;
  ~WebSocketClient() override {
    end();
    {
      const std::lock_guard lock(core_.running_mutex);
      core_.sockets.erase(this);
    }
    core_.metrics.websockets.set(--core_.websockets);
    core_.metrics.connections.set(--core_.connections);
    core_.clients.disconnected(address_);
  }

  void start(http::request<http::string_body> request, std::string request_id) {
    tcp_of(stream_.next_layer()).expires_never();  // the WebSocket layer has its own timeouts
    websocket::stream_base::timeout timeout{};
    timeout.handshake_timeout = chrono(core_.options.limits.header_timeout);
    timeout.idle_timeout = chrono(core_.options.limits.idle_timeout);
    timeout.keep_alive_pings = true;
    stream_.set_option(timeout);
    stream_.set_option(websocket::stream_base::decorator(
        [id = std::move(request_id)](websocket::response_type& response) {
          response.set(http::field::server, "penstock");
          response.set("x-request-id", id);
        }));
    stream_.read_message_max(core_.options.limits.message_bytes_max);
    stream_.text(true);
    request_ = std::move(request);
    stream_.async_accept(request_, [self = this->shared_from_this()](error_code error) {
      if (error) return self->end();
      self->session_->on_open(self->handle_);
      self->read();
      self->pump();
    });
  }

  void post_wake() override {
    if (wake_posted_.exchange(true)) return;
    asio::post(stream_.get_executor(), [weak = this->weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->wake_posted_ = false;
        self->pump();
      }
    });
  }

  void post_close(uint16_t code, std::string reason) override {
    asio::post(stream_.get_executor(),
               [weak = this->weak_from_this(), code, why = std::move(reason)]() mutable {
                 if (const auto self = weak.lock()) self->start_close(code, std::move(why));
               });
  }

  void end() override {
    if (ended_.exchange(true)) return;
    handle_->detach();
    session_->on_close();
  }

 private:
  void read() {
    stream_.async_read(buffer_, [self = this->shared_from_this()](error_code error, size_t) {
      if (error) return self->end();
      if (!self->stream_.got_text())
        return self->start_close(1003, "this WebSocket speaks text only");
      self->handle_message();
    });
  }

  /// The application looks things up for a message, so it runs on a worker; the next is read after
  /// it.
  void handle_message() {
    std::string text = beast::buffers_to_string(buffer_.data());
    buffer_.consume(buffer_.size());
    asio::post(core_.quick, [self = this->shared_from_this(), message = std::move(text)] {
      self->session_->on_message(message);
      asio::post(self->stream_.get_executor(), [self] {
        if (self->ended_) return;
        self->pump();
        self->read();
      });
    });
  }

  void pump() {
    if (writing_ || closing_ || ended_) return;
    auto next = session_->next_message();
    if (!next) return;
    outgoing_ = std::move(*next);
    writing_ = true;
    stream_.async_write(
        asio::buffer(outgoing_), [self = this->shared_from_this()](error_code error, size_t) {
          self->writing_ = false;
          if (error) return self->end();
          if (self->close_wanted_)
            return self->start_close(self->close_code_, std::move(self->close_reason_));
          self->pump();
        });
  }

  void start_close(uint16_t code, std::string reason) {
    if (closing_ || ended_) return;
    if (writing_) {
      close_wanted_ = true;
      close_code_ = code;
      close_reason_ = std::move(reason);
      return;
    }
    closing_ = true;
    reason.resize(std::min<size_t>(reason.size(), 120));  // a control frame holds 125 bytes
    websocket::close_reason why(static_cast<websocket::close_code>(code),
                                beast::string_view(reason.data(), reason.size()));
    stream_.async_close(why, [self = this->shared_from_this()](error_code) { self->end(); });
  }

  Core& core_;
  websocket::stream<Stream> stream_;
  std::shared_ptr<WebSocketSession> session_;
  /// shared: the session keeps it for as long as it likes
  std::shared_ptr<SocketHandle> handle_ = std::make_shared<SocketHandle>(this);
  std::string address_;
  http::request<http::string_body> request_;
  beast::flat_buffer buffer_;
  std::string outgoing_;
  std::atomic<bool> wake_posted_{false}, ended_{false};
  bool writing_ = false, closing_ = false, close_wanted_ = false;
  uint16_t close_code_ = 1000;
  std::string close_reason_;
};

// ---------------------------------------------------------------------------------------------
// HTTP

/// One client. All members belong to the stream's strand, but for what a worker is lent while it
/// answers. shared_ptr: each pending operation keeps it alive; it dies when none is left.
template <class Stream>
class Connection : public std::enable_shared_from_this<Connection<Stream>> {
 public:
  Connection(Core& core, Stream&& stream, std::string address, bool loopback,
             std::shared_ptr<asio::ssl::context> tls)
      : core_(core),
        tls_(std::move(tls)),
        stream_(std::move(stream)),
        timer_(tcp_of(stream_).get_executor()),
        address_(std::move(address)),
        loopback_(loopback) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    if (handed_over_) return;
    core_.metrics.connections.set(--core_.connections);
    core_.clients.disconnected(address_);
  }

  void start() {
    asio::dispatch(tcp_of(stream_).get_executor(),
                   [self = this->shared_from_this()] { self->handshake(); });
  }

 private:
  void handshake() {
    if constexpr (kIsTls<Stream>) {
      tcp_of(stream_).expires_after(chrono(core_.options.limits.header_timeout));
      stream_.async_handshake(asio::ssl::stream_base::server,
                              [self = this->shared_from_this()](error_code error) {
                                if (!error) self->read_header(true);
                              });
    } else {
      read_header(true);
    }
  }

  /// Waits for the first byte as long as a connection may idle; from then on the headers have their
  /// own deadline, which bytes trickling in do not put off.
  void wait_for_request() {
    if (buffer_.size() > 0) return read_header(false);
    tcp_of(stream_).expires_after(chrono(core_.options.limits.idle_timeout));
    stream_.async_read_some(buffer_.prepare(4096),
                            [self = this->shared_from_this()](error_code error, size_t n) {
                              if (error) return self->close_gracefully();
                              self->buffer_.commit(n);
                              self->read_header(false);
                            });
  }

  void read_header(bool /*first*/) {
    parser_.emplace();
    parser_->header_limit(core_.options.limits.header_bytes_max);
    parser_->body_limit(core_.options.limits.body_bytes_max);
    tcp_of(stream_).expires_after(chrono(core_.options.limits.header_timeout));
    http::async_read_header(
        stream_, buffer_, *parser_,
        [self = this->shared_from_this()](error_code error, size_t) { self->on_header(error); });
  }

  void on_header(error_code error) {
    request_ = Request{};
    request_.id = "req_" + system_random().hex(8);
    if (error) return on_read_error(error);
    started_us_ = system_clock().monotonic_us();
    if (websocket::is_upgrade(parser_->get())) return prepare_upgrade();
    if (parser_->get()[http::field::expect] == "100-continue") return send_continue();
    read_body();
  }

  void send_continue() {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()),
                      [self = this->shared_from_this()](error_code error, size_t) {
                        if (!error) self->read_body();
                      });
  }

  void read_body() {
    if (parser_->is_done()) return dispatch();
    tcp_of(stream_).expires_after(chrono(core_.options.limits.body_timeout));
    http::async_read(stream_, buffer_, *parser_,
                     [self = this->shared_from_this()](error_code error, size_t) {
                       if (error) return self->on_read_error(error);
                       self->dispatch();
                     });
  }

  void on_read_error(error_code error) {
    if (error == http::error::header_limit)
      return refuse(431, "payload_too_large", "the request's headers are too large");
    if (error == http::error::body_limit)
      return refuse(
          413, "payload_too_large",
          fmt::format("the body may have at most {} bytes", core_.options.limits.body_bytes_max));
    if (error == http::error::end_of_stream || error == http::error::partial_message ||
        error == beast::error::timeout)
      return close_gracefully();
    if (error.category() == make_error_code(http::error::bad_method).category())
      return refuse(400, "invalid_argument", "not a valid HTTP request: " + error.message());
    close_gracefully();  // reset, TLS alert, …
  }

  /// Answers what could not be read, and closes: the rest of the stream cannot be understood.
  void refuse(int status, std::string_view code, std::string_view detail) {
    keep_alive_ = false;
    version_ = 11;
    started_us_ = system_clock().monotonic_us();
    respond(problem(status, code, detail, request_.id));
  }

  /// Fills request_; false when it was refused already.
  bool take_request() {
    auto message = parser_->release();
    version_ = message.version();
    keep_alive_ = message.keep_alive();
    if (!convert(message, request_)) {
      refuse(400, "invalid_argument", "the request target is not valid");
      return false;
    }
    request_.body = std::move(message.body());
    request_.peer_address = address_;
    request_.peer_is_loopback = loopback_;
    request_.tls = kIsTls<Stream>;
    if (version_ >= 11 && request_.header("host").empty()) {
      refuse(400, "invalid_argument", "a Host header is required (RFC 9112 section 3.2)");
      return false;
    }
    lane_ = core_.application.lane(request_);
    ClientLimits& limits = lane_ == Lane::kIngest ? core_.senders : core_.clients;
    if (limits.allow_request(address_, started_us_)) return true;
    core_.metrics.limited.add();
    respond(problem(Error{ErrorCode::kResourceExhausted,
                          "too many requests a second from this address; slow down",
                          {}},
                    request_.id));
    return false;
  }

  void dispatch() {
    tcp_of(stream_).expires_never();
    started_us_ = system_clock().monotonic_us();
    if (!take_request()) return;
    const Lane lane = lane_;
    if (core_.waiting(lane) >= core_.options.limits.queue_max) return refuse_busy();
    auto cancellation = std::make_shared<Cancellation>();  // shared: worker, timer and watcher
    if (lane == Lane::kSlow) watch(cancellation);
    ++core_.waiting(lane);
    core_.track(cancellation);
    asio::post(core_.pool(lane), [self = this->shared_from_this(), cancellation, lane] {
      --self->core_.waiting(lane);
      Response response = self->core_.application.handle(self->request_, *cancellation);
      self->core_.untrack(cancellation);
      asio::post(tcp_of(self->stream_).get_executor(),
                 [self, answer = std::make_shared<Response>(std::move(response))] {
                   self->timer_.cancel();
                   self->watched_.reset();
                   self->respond(std::move(*answer));
                 });
    });
  }

  void refuse_busy() {
    core_.metrics.limited.add();
    respond(problem(Error{ErrorCode::kUnavailable, "the server is busy; try again in a moment", {}},
                    request_.id));
  }

  /// Cancels the handler when its time is over or the client goes away.
  void watch(const std::shared_ptr<Cancellation>& cancellation) {
    watched_ = cancellation;
    timer_.expires_after(chrono(core_.options.limits.handler_timeout));
    timer_.async_wait([cancellation](error_code error) {
      if (!error) cancellation->cancel();
    });
    if (watching_) return;  // the wait of an earlier request has not fired yet: it will do
    watching_ = true;
    socket_of(stream_).async_wait(
        tcp::socket::wait_read, [self = this->shared_from_this()](error_code error) {
          self->watching_ = false;
          const auto watched = self->watched_.lock();
          if (!watched) return;
          char byte;
          const auto n =
              ::recv(socket_of(self->stream_).native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
          if (error || n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) watched->cancel();
          // n > 0: the next request is already waiting; the client is there
        });
  }

  // -- answering

  void respond(Response response) {
    response.set("x-request-id", request_.id);
    add_security_headers(response, kIsTls<Stream>);
    if (core_.stopping) keep_alive_ = false;
    const auto took_us = static_cast<uint64_t>(system_clock().monotonic_us() - started_us_);
    core_.metrics.count(response.status);
    core_.metrics.duration.observe_us(took_us);
    log_debug(kRoom, "{} {} {} {} us {} {}", name(request_.method), request_.path, response.status,
              took_us, address_, request_.id);
    tcp_of(stream_).expires_after(chrono(core_.options.limits.write_timeout));
    const bool no_body = response.status == 204 || response.status == 304;
    if (response.source && !no_body) return respond_from_source(std::move(response));
    respond_from_memory(std::move(response), no_body);
  }

  void respond_from_memory(Response response, bool no_body) {
    memory_.emplace();
    fill_header(*memory_, response, version_, keep_alive_);
    if (!no_body) {
      memory_->content_length(response.body.size());
      if (request_.method != Method::kHead) memory_->body() = std::move(response.body);
    }
    http::async_write(stream_, *memory_,
                      [self = this->shared_from_this()](error_code error, size_t) {
                        self->after_response(error);
                      });
  }

  void respond_from_source(Response response) {
    source_ = std::move(response.source);
    streamed_.emplace();
    fill_header(*streamed_, response, version_, keep_alive_);
    if (const auto size = source_->size()) {
      streamed_->content_length(*size);
    } else if (version_ >= 11) {
      streamed_->chunked(true);
    } else {
      keep_alive_ = false;
      streamed_->keep_alive(false);
    }
    streamed_->body().data = nullptr;
    streamed_->body().more = true;
    serializer_.emplace(*streamed_);
    http::async_write_header(stream_, *serializer_,
                             [self = this->shared_from_this()](error_code error, size_t) {
                               if (error || self->request_.method == Method::kHead)
                                 return self->after_response(error);
                               self->read_source();
                             });
  }

  /// The source may block (disk, database), so a worker reads it.
  void read_source() {
    chunk_.resize(kChunkBytes);
    asio::post(core_.slow, [self = this->shared_from_this()] {
      auto got = self->source_->read(self->chunk_);
      asio::post(tcp_of(self->stream_).get_executor(), [self, n = std::move(got)] {
        if (n) return self->write_chunk(*n);
        log_warning(kRoom, "response {} broken off: {}", self->request_.id, n.error().text());
        self->close_now();  // the status is out already: a cut is the only way left to say so
      });
    });
  }

  void write_chunk(size_t bytes) {
    tcp_of(stream_).expires_after(chrono(core_.options.limits.write_timeout));
    auto& body = streamed_->body();
    body.data = bytes > 0 ? chunk_.data() : nullptr;
    body.size = bytes;
    body.more = bytes > 0;
    http::async_write(stream_, *serializer_,
                      [self = this->shared_from_this()](error_code error, size_t) {
                        if (error == http::error::need_buffer) return self->read_source();
                        self->after_response(error);
                      });
  }

  void after_response(error_code error) {
    memory_.reset();
    serializer_.reset();
    streamed_.reset();
    source_.reset();
    chunk_ = {};
    if (error) return close_now();
    if (!keep_alive_) return close_gracefully();
    wait_for_request();
  }

  // -- WebSocket

  void prepare_upgrade() {
    auto message = parser_->release();
    version_ = message.version();
    keep_alive_ = false;
    if (!convert(message, request_))
      return refuse(400, "invalid_argument", "the request target is not valid");
    request_.peer_address = address_;
    request_.peer_is_loopback = loopback_;
    request_.tls = kIsTls<Stream>;
    if (!core_.clients.allow_request(address_, started_us_)) return refuse_busy();
    if (core_.websockets >= core_.options.limits.websockets_max)
      return respond(
          problem(Error{ErrorCode::kUnavailable, "too many live clients", {}}, request_.id));
    tcp_of(stream_).expires_never();
    // shared: the closure must be copyable for the pool
    auto upgrade = std::make_shared<http::request<http::string_body>>(std::move(message));
    asio::post(core_.quick, [self = this->shared_from_this(), upgrade] {
      auto session = std::make_shared<tl::expected<std::shared_ptr<WebSocketSession>, Response>>(
          self->core_.application.upgrade(self->request_));
      asio::post(tcp_of(self->stream_).get_executor(), [self, upgrade, session] {
        if (!*session) return self->respond(std::move(session->error()));
        self->hand_over(std::move(*upgrade), std::move(**session));
      });
    });
  }

  void hand_over(http::request<http::string_body> upgrade,
                 std::shared_ptr<WebSocketSession> session) {
    handed_over_ = true;
    core_.metrics.count(101);
    log_debug(kRoom, "websocket {} {} {}", request_.path, address_, request_.id);
    auto client = std::make_shared<WebSocketClient<Stream>>(core_, std::move(stream_),
                                                            std::move(session), address_);
    client->start(std::move(upgrade), request_.id);
  }

  // -- ending

  void close_now() {
    error_code ignored;
    socket_of(stream_).close(ignored);
  }

  void close_gracefully() {
    if (!socket_of(stream_).is_open()) return;
    tcp_of(stream_).expires_after(std::chrono::seconds(2));
    if constexpr (kIsTls<Stream>) {
      stream_.async_shutdown([self = this->shared_from_this()](error_code) { self->linger(); });
    } else {
      linger();
    }
  }

  /// Reads on for a moment after our FIN: closing with bytes unread would reset the connection and
  /// could take our last response with it (RFC 9112 section 9.6).
  void linger() {
    error_code ignored;
    socket_of(stream_).shutdown(tcp::socket::shutdown_send, ignored);
    tcp_of(stream_).expires_after(std::chrono::seconds(2));
    discard(0);
  }
  void discard(size_t so_far) {
    if (so_far > (4U << 20)) return close_now();
    buffer_.clear();
    tcp_of(stream_).async_read_some(buffer_.prepare(16384), [self = this->shared_from_this(),
                                                             so_far](error_code error, size_t n) {
      if (error) return self->close_now();
      self->discard(so_far + n);
    });
  }

  Core& core_;
  std::shared_ptr<asio::ssl::context> tls_;  ///< shared: a reload replaces it for new connections
  Stream stream_;
  asio::steady_timer timer_;
  std::string address_;
  bool loopback_;
  Lane lane_ = Lane::kQuick;
  bool handed_over_ = false, keep_alive_ = true, watching_ = false;
  unsigned version_ = 11;
  int64_t started_us_ = 0;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  Request request_;
  std::weak_ptr<Cancellation> watched_;
  std::optional<http::response<http::string_body>> memory_;
  std::optional<http::response<http::buffer_body>> streamed_;
  std::optional<http::response_serializer<http::buffer_body>> serializer_;
  std::unique_ptr<BodySource> source_;
  std::vector<char> chunk_;
};

Result<std::shared_ptr<asio::ssl::context>> load_tls(const TlsOptions& options) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  error_code error;
  context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                           asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 |
                           asio::ssl::context::no_tlsv1_1,
                       error);
  context->use_certificate_chain_file(options.certificate_file, error);
  if (error)
    return fail(ErrorCode::kInvalidArgument, "cannot use the certificate: " + error.message(),
                options.certificate_file);
  context->use_private_key_file(options.private_key_file, asio::ssl::context::pem, error);
  if (error)
    return fail(ErrorCode::kInvalidArgument, "cannot use the private key: " + error.message(),
                options.private_key_file);
  if (SSL_CTX_check_private_key(context->native_handle()) != 1)
    return fail(ErrorCode::kInvalidArgument, "the private key does not belong to the certificate",
                options.private_key_file);
  return context;
}

class BeastServer : public HttpServer {
 public:
  BeastServer(HttpOptions options, Application& application, Metrics& metrics)
      : core_(std::move(options), application, metrics),
        acceptor_(asio::make_strand(core_.io)),
        retry_(acceptor_.get_executor()) {}

  ~BeastServer() override {
    core_.stopping = true;
    {
      const std::lock_guard lock(core_.running_mutex);
      for (const auto& cancellation : core_.running) cancellation->cancel();
    }
    core_.io.stop();
    for (auto& thread : threads_) thread.join();
    core_.quick.stop();
    core_.slow.stop();
    core_.ingest.stop();
    core_.quick.join();
    core_.slow.join();
    core_.ingest.join();
    // Nothing runs any more: the sessions are told, and let go of what belongs to the sockets.
    for (OpenSocket* socket : core_.sockets) socket->end();
  }

  Status open() {
    if (core_.options.tls) {
      TRY_ASSIGN(tls_, load_tls(*core_.options.tls));
    }
    error_code error;
    const std::string& address = core_.options.address;
    const auto ip = asio::ip::make_address(address == "localhost" ? "127.0.0.1" : address, error);
    if (error) return fail(ErrorCode::kInvalidArgument, "not an IP address to listen on", address);
    const tcp::endpoint endpoint(ip, core_.options.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      return fail(ErrorCode::kIo, "cannot listen: " + error.message(),
                  fmt::format("{}:{}", address, core_.options.port));
    port_ = acceptor_.local_endpoint(error).port();
    accept();
    for (unsigned i = 0; i < std::max(1u, core_.options.network_threads); ++i)
      threads_.emplace_back([this] { run(); });
    return {};
  }

  [[nodiscard]] uint16_t port() const override { return port_; }

  Status reload_tls() override {
    if (!core_.options.tls)
      return fail(ErrorCode::kUnsupported, "this server has no TLS certificate configured");
    TRY_ASSIGN(auto fresh, load_tls(*core_.options.tls));
    const std::lock_guard lock(tls_mutex_);
    tls_ = std::move(fresh);
    return {};
  }

 private:
  void run() {
    while (!core_.stopping) {
      try {
        core_.io.run();
        return;
      } catch (const std::exception& error) {  // Boost may throw; one client must not end the rest
        log_error(kRoom, "in a network handler: {}", error.what());
      }
    }
  }

  void accept() {
    acceptor_.async_accept(
        asio::make_strand(core_.io), [this](error_code error, tcp::socket socket) {
          if (error == asio::error::operation_aborted) return;
          if (error) {  // out of file descriptors, most likely: breathe, then go on
            log_warning(kRoom, "cannot accept: {}", error.message());
            retry_.expires_after(std::chrono::milliseconds(100));
            retry_.async_wait([this](error_code stopped) {
              if (!stopped) accept();
            });
            return;
          }
          admit(std::move(socket));
          accept();
        });
  }

  void admit(tcp::socket socket) {
    error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return;
    std::string address = peer.address().to_string();
    if (core_.connections >= core_.options.limits.connections_max ||
        !core_.clients.connected(address)) {
      core_.metrics.limited.add();
      return;  // closed by its destructor
    }
    core_.metrics.connections.set(++core_.connections);
    socket.set_option(tcp::no_delay(true), error);
    const bool loopback = peer.address().is_loopback();
    std::shared_ptr<asio::ssl::context> tls;
    {
      const std::lock_guard lock(tls_mutex_);
      tls = tls_;
    }
    if (tls) {
      using Stream = beast::ssl_stream<beast::tcp_stream>;
      Stream stream(beast::tcp_stream(std::move(socket)), *tls);
      std::make_shared<Connection<Stream>>(core_, std::move(stream), std::move(address), loopback,
                                           std::move(tls))
          ->start();
    } else {
      std::make_shared<Connection<beast::tcp_stream>>(core_, beast::tcp_stream(std::move(socket)),
                                                      std::move(address), loopback, nullptr)
          ->start();
    }
  }

  Core core_;
  std::mutex tls_mutex_;
  std::shared_ptr<asio::ssl::context> tls_;  ///< shared with the connections made with it
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  uint16_t port_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpOptions options, Application& application,
                                                      Metrics& metrics) {
  auto server = std::make_unique<BeastServer>(std::move(options), application, metrics);
  TRY(server->open());
  return server;
}

}  // namespace penstock::api
