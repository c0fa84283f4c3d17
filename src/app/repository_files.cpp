#include "app/repository_files.h"

#include <chrono>
#include <filesystem>
#include <fstream>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include "app/version.h"

namespace penstock::app {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;
using Found = Result<std::optional<std::string>>;

struct Site {
  bool tls = false;
  std::string host, port, path;  ///< path without '/' at its end
};

Result<Site> parse_site(const std::string& location) {
  Site site;
  std::string_view rest = location;
  site.tls = rest.starts_with("https://");
  rest.remove_prefix(site.tls ? 8 : 7);
  const size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (slash != rest.npos) site.path = rest.substr(slash);
  while (site.path.ends_with('/')) site.path.pop_back();
  const size_t colon = authority.rfind(':');
  const bool has_port = colon != authority.npos && authority.find(']', colon) == authority.npos;
  site.port = has_port ? std::string(authority.substr(colon + 1)) : site.tls ? "443" : "80";
  site.host = authority.substr(0, has_port ? colon : authority.npos);
  if (site.host.starts_with('[') && site.host.ends_with(']'))
    site.host = site.host.substr(1, site.host.size() - 2);
  if (site.host.empty() || authority.find('@') != authority.npos ||
      location.find_first_of("?# \t\r\n") != std::string::npos)
    return fail(ErrorCode::kInvalidArgument,
                "A repository's address is https://HOST[:PORT][/PATH], without user and query",
                location);
  return site;
}

// One GET on a connection of its own, within a time: each step runs until it is done or time is up.
class Exchange {
 public:
  Exchange(const Site& site, int64_t time_ms)
      : site_(site),
        end_(std::chrono::steady_clock::now() + std::chrono::milliseconds(time_ms)),
        context_(asio::ssl::context::tls_client),
        stream_(io_, context_) {}

  Found get(const std::string& target, size_t bytes_max) {
    TRY(connect());
    http::request<http::empty_body> request(http::verb::get, target, 11);
    request.set(http::field::host, site_.host + ":" + site_.port);
    request.set(http::field::user_agent, std::string("penstock/") + std::string(kVersion));
    request.set(http::field::accept, "application/json");
    request.set(http::field::connection, "close");
    http::response_parser<http::string_body> parser;
    parser.body_limit(bytes_max);
    beast::flat_buffer buffer;
    const auto talk = [&](auto& stream) -> Status {
      TRY(step("ask", [&](auto done) { http::async_write(stream, request, done); }));
      return step("answer", [&](auto done) { http::async_read(stream, buffer, parser, done); });
    };
    if (const Status done = site_.tls ? talk(stream_) : talk(stream_.next_layer()); !done)
      return fail(done.error());
    const auto& response = parser.get();
    const unsigned status = response.result_int();
    if (status == 404 || status == 410) return std::nullopt;
    if (status >= 300 && status < 400)
      return fail(
          ErrorCode::kUnavailable,
          fmt::format("The repository sends elsewhere ({}), which is not followed: give the "
                      "address it sends to, {}",
                      status, std::string(response[http::field::location])),
          address() + target);
    if (status != 200)
      return fail(ErrorCode::kUnavailable, fmt::format("The repository answered {}", status),
                  address() + target);
    return response.body();
  }

 private:
  [[nodiscard]] std::string address() const {
    return fmt::format("{}://{}:{}", site_.tls ? "https" : "http", site_.host, site_.port);
  }

  // Starts an operation and waits for it.
  template <class Start>
  Status step(const char* what, Start&& start) {
    std::optional<error_code> result;
    start([&](const error_code& error, const auto&...) { result = error; });
    io_.restart();
    while (!result && io_.run_one_until(end_) > 0) {
    }
    if (!result) {
      error_code ignored;
      stream_.next_layer().close(ignored);
      io_.restart();
      io_.run();  // what was started ends before what it refers to does
      return fail(ErrorCode::kTimeout, "The repository did not answer in time", address());
    }
    if (*result == http::error::body_limit)
      return fail(ErrorCode::kResourceExhausted, "A file of the repository is too large",
                  address());
    if (*result)
      return fail(ErrorCode::kUnavailable,
                  fmt::format("The repository cannot be reached ({}): {}", what, result->message()),
                  address());
    return {};
  }

  Status connect() {
    tcp::resolver resolver(io_);
    tcp::resolver::results_type found;
    TRY(step("look up", [&](auto done) {
      resolver.async_resolve(site_.host, site_.port,
                             [&, done](const error_code& error, tcp::resolver::results_type all) {
                               found = std::move(all);
                               done(error);
                             });
    }));
    TRY(step("connect",
             [&](auto done) { asio::async_connect(stream_.next_layer(), found, done); }));
    if (!site_.tls) return {};
    error_code error;
    context_.set_default_verify_paths(error);
    if (!error) stream_.set_verify_mode(asio::ssl::verify_peer, error);
    if (!error) stream_.set_verify_callback(asio::ssl::host_name_verification(site_.host), error);
    if (error || SSL_set_tlsext_host_name(stream_.native_handle(), site_.host.c_str()) != 1)
      return fail(ErrorCode::kInternal, "TLS cannot be set up: " + error.message(), address());
    return step("handshake",
                [&](auto done) { stream_.async_handshake(asio::ssl::stream_base::client, done); });
  }

  const Site& site_;
  std::chrono::steady_clock::time_point end_;
  asio::io_context io_;
  asio::ssl::context context_;
  asio::ssl::stream<tcp::socket> stream_;
};

Found read_below(const std::filesystem::path& root, const std::string& path, size_t bytes_max) {
  std::error_code error;
  const auto whole = std::filesystem::weakly_canonical(root / path, error);
  if (error || !std::filesystem::is_regular_file(whole, error)) return std::nullopt;
  const auto inside = std::mismatch(root.begin(), root.end(), whole.begin(), whole.end());
  if (inside.first != root.end())
    return fail(ErrorCode::kPermissionDenied, "The file leads out of the repository's folder",
                path);
  const auto size = std::filesystem::file_size(whole, error);
  if (error || size > bytes_max)
    return fail(ErrorCode::kResourceExhausted, "A file of the repository is too large", path);
  std::ifstream in(whole, std::ios::binary);
  std::string text(size, '\0');
  if (!in.read(text.data(), static_cast<std::streamsize>(size)))
    return fail(ErrorCode::kIo, "A file of the repository cannot be read", path);
  return text;
}

}  // namespace

Result<twin::FetchFile> repository_files(const std::string& location) {
  if (location.starts_with("http://") || location.starts_with("https://")) {
    TRY_ASSIGN(Site site, parse_site(location));
    return [site = std::move(site)](const std::string& path, size_t bytes_max,
                                    int64_t time_ms) -> Found {
      return Exchange(site, time_ms).get(site.path + "/" + path, bytes_max);
    };
  }
  std::error_code error;
  const auto root = std::filesystem::canonical(location, error);
  if (error || !std::filesystem::is_directory(root, error))
    return fail(ErrorCode::kNotFound,
                "A repository is a folder that is there, or an address with http:// or https://",
                location);
  return [root](const std::string& path, size_t bytes_max, int64_t) {
    return read_below(root, path, bytes_max);
  };
}

}  // namespace penstock::app
