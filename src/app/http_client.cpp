#include "app/http_client.h"

#include <chrono>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

namespace penstock::app {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

struct HttpClient::Impl {
  NetAddress address;
  std::string token;
  asio::io_context io;
  std::unique_ptr<beast::tcp_stream> stream;  // kept open between requests

  Status connect() {
    boost::system::error_code error;
    asio::ip::tcp::resolver resolver(io);
    const auto found = resolver.resolve(address.host, std::to_string(address.port), error);
    stream = std::make_unique<beast::tcp_stream>(io);
    if (!error) stream->connect(found, error);
    if (!error) return {};
    stream.reset();
    return fail(ErrorCode::kUnavailable, "no Penstock answers at http://" + address.text() +
                                             ": is `penstock serve` running?");
  }

  boost::system::error_code round(const http::request<http::string_body>& request,
                                  http::response_parser<http::string_body>& parser) {
    boost::system::error_code error;
    beast::flat_buffer buffer;
    http::write(*stream, request, error);
    if (!error) http::read(*stream, buffer, parser, error);
    return error;
  }
};

HttpClient::HttpClient() : impl_(std::make_unique<Impl>()) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

Result<HttpClient> HttpClient::create(const std::string& base, std::string token) {
  std::string_view rest = base;
  if (!rest.starts_with("http://"))
    return fail(ErrorCode::kInvalidArgument, "the server's address begins with http://", base);
  rest.remove_prefix(7);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  HttpClient client;
  TRY_ASSIGN(client.impl_->address,
             NetAddress::parse(rest.find(':') == std::string_view::npos ? std::string(rest) + ":80"
                                                                        : std::string(rest)));
  client.impl_->token = std::move(token);
  return client;
}

Result<HttpReply> HttpClient::send(const std::string& method, const std::string& path,
                                   const std::string& body, const std::string& content_type) {
  http::request<http::string_body> request;
  request.method_string(method);
  request.target(path);
  request.version(11);
  request.set(http::field::host, impl_->address.text());
  request.set(http::field::user_agent, "penstock");
  if (!impl_->token.empty()) request.set(http::field::authorization, "Bearer " + impl_->token);
  if (!body.empty()) request.set(http::field::content_type, content_type);
  request.body() = body;
  request.prepare_payload();

  const bool reused = impl_->stream != nullptr;
  if (!reused) TRY(impl_->connect());
  auto parser = std::make_unique<http::response_parser<http::string_body>>();
  parser->body_limit(1ULL << 32);
  auto error = impl_->round(request, *parser);
  if (error && reused && !parser->got_some()) {  // the server closed the idle connection meanwhile
    TRY(impl_->connect());
    parser = std::make_unique<http::response_parser<http::string_body>>();
    parser->body_limit(1ULL << 32);
    error = impl_->round(request, *parser);
  }
  if (error) {
    impl_->stream.reset();
    return fail(ErrorCode::kUnavailable,
                "the server at http://" + impl_->address.text() +
                    " broke the connection: " + error.message(),
                method + " " + path);
  }
  auto response = parser->release();
  if (!response.keep_alive()) impl_->stream.reset();
  return HttpReply{static_cast<int>(response.result_int()),
                   std::string(response[http::field::content_type]), std::move(response.body())};
}

Result<Json> HttpClient::call(const std::string& method, const std::string& path,
                              const std::string& body) {
  TRY_ASSIGN(const HttpReply reply, send(method, path, body));
  if (reply.status >= 200 && reply.status < 300) {
    if (reply.body.empty()) return Json();
    return parse_json(reply.body, 256);
  }
  const auto problem = parse_json(reply.body);
  ErrorCode code = ErrorCode::kInternal;
  switch (reply.status) {
    case 400:
    case 413:
    case 422:
      code = ErrorCode::kInvalidArgument;
      break;
    case 401:
      code = ErrorCode::kUnauthenticated;
      break;
    case 403:
      code = ErrorCode::kPermissionDenied;
      break;
    case 404:
      code = ErrorCode::kNotFound;
      break;
    case 409:
      code = ErrorCode::kConflict;
      break;
    case 429:
      code = ErrorCode::kResourceExhausted;
      break;
    case 503:
      code = ErrorCode::kUnavailable;
      break;
    default:
      break;
  }
  std::string message = "the server answered " + std::to_string(reply.status);
  if (problem && problem->is_object())
    message = problem->value("detail", problem->value("title", message));
  return fail(code, std::move(message), method + " " + path);
}

std::string url_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if ((u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9') || c == '-' ||
        c == '_' || c == '.' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kHex[u >> 4];
      out += kHex[u & 15];
    }
  }
  return out;
}

}  // namespace penstock::app
