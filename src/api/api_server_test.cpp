// The whole API over real sockets: plain, TLS, WebSocket.

#include "api/api_server.h"

#include <algorithm>
#include <cstdio>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

int connect_to(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  timeval limit{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return fd;
}

/// Reads one response whose length its header tells.
template <class Read>
std::string read_response(Read&& read) {
  std::string got;
  char bytes[65536];
  for (;;) {
    const auto head = got.find("\r\n\r\n");
    if (head != std::string::npos) {
      const auto at = got.find("Content-Length: ");
      const size_t length = at < head ? std::stoul(got.substr(at + 16)) : 0;
      if (got.size() >= head + 4 + length) return got;
    }
    const auto n = read(bytes, sizeof bytes);
    if (n <= 0) return got + "<end>";
    got.append(bytes, static_cast<size_t>(n));
  }
}

class ApiServerTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    stream::JournalOptions options;
    options.directory = directory + "/journal";
    auto opened = stream::Journal::open(system_files(), system_clock(), options, metrics);
    ASSERT_TRUE(opened) << opened.error().text();
    journal = std::move(*opened);
    make_compressor();
  }
  void TearDown() override {
    server.reset();
    journal.reset();
    ApiTest::TearDown();
  }
  void start(ApiServerOptions options = {}) {
    options.http.port = 0;
    options.http.limits.requests_per_s_max = options.http.limits.requests_burst_max = 1e9;
    options.api.export_directory = directory;
    auto started = ApiServer::start(services(), *journal, options);
    ASSERT_TRUE(started) << started.error().text();
    server = std::move(*started);
  }
  std::string request(const std::string& target) {
    return "GET " + target + " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + admin + "\r\n\r\n";
  }

  std::unique_ptr<stream::Journal> journal;
  std::unique_ptr<ApiServer> server;
};

TEST_F(ApiServerTest, AnswersOverTheNetAndTellsHowFast) {
  for (int i = 0; i < 11; ++i)
    ASSERT_EQ(post("/devices", {{"id", "unit-" + std::to_string(i)},
                                {"site", "north"},
                                {"model", "dtmi:test:Compressor;1"}})
                  .status,
              201);
  for (int i = 0; i < 11; ++i) set_live("unit-" + std::to_string(i), "pressure", 7);
  start();
  const int fd = connect_to(server->port());
  const auto read = [&](char* to, size_t n) { return ::recv(fd, to, n, 0); };
  std::vector<int64_t> took_us;
  for (int i = 0; i < 1000; ++i) {
    const int64_t begin = system_clock().monotonic_us();
    const std::string wanted = request("/api/v1/twins");
    ASSERT_EQ(::send(fd, wanted.data(), wanted.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(wanted.size()));
    const auto response = read_response(read);
    took_us.push_back(system_clock().monotonic_us() - begin);
    ASSERT_TRUE(response.starts_with("HTTP/1.1 200 OK")) << response;
  }
  ::close(fd);
  std::sort(took_us.begin(), took_us.end());
  std::printf("GET /twins (12 twins), 1000 times: p50 %lld us, p99 %lld us\n",
              static_cast<long long>(took_us[500]), static_cast<long long>(took_us[990]));
  RecordProperty("p50_us", static_cast<int>(took_us[500]));
  RecordProperty("p99_us", static_cast<int>(took_us[990]));
}

TEST_F(ApiServerTest, LiveValuesComeOverARealWebSocket) {
  set_live("comp-1", "pressure", 7.25);
  start();
  const int fd = connect_to(server->port());
  const std::string upgrade =
      "GET /api/v1/live HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
      "Authorization: Bearer " +
      admin + "\r\n\r\n";
  ::send(fd, upgrade.data(), upgrade.size(), MSG_NOSIGNAL);
  const std::string text = R"({"subscribe":{"twins":["comp-1"],"alarms":true}})";
  std::string frame = {static_cast<char>(0x81), static_cast<char>(0x80 | text.size())};
  frame.append(4, '\0');
  frame += text;
  std::string got;
  char bytes[4096];
  const auto wait_for = [&](std::string_view what) {
    while (got.find(what) == std::string::npos) {
      const auto n = ::recv(fd, bytes, sizeof bytes, 0);
      if (n <= 0) return false;
      got.append(bytes, static_cast<size_t>(n));
    }
    return true;
  };
  ASSERT_TRUE(wait_for("\r\n\r\n"));
  EXPECT_TRUE(got.starts_with("HTTP/1.1 101")) << got;
  ::send(fd, frame.data(), frame.size(), MSG_NOSIGNAL);
  EXPECT_TRUE(wait_for("\"type\":\"subscribed\"")) << got;
  EXPECT_TRUE(wait_for("\"v\":7.25")) << got;
  AlarmItem alarm;
  alarm.id = AlarmId(9);
  alarm.site = (*twins->site(twins->default_organisation(), "north"))->id;
  server->live().alarm_changed(alarm);
  EXPECT_TRUE(wait_for("\"alm_9\"")) << got;
  server.reset();  // with the client still there
  while (::recv(fd, bytes, sizeof bytes, 0) > 0) {
  }
  ::close(fd);
}

/// A self-signed certificate for `name`, and its key.
void write_certificate(const std::string& certificate_file, const std::string& key_file,
                       const std::string& name) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  X509_sign(certificate, key, EVP_sha256());
  FILE* file = std::fopen(certificate_file.c_str(), "w");
  PEM_write_X509(file, certificate);
  std::fclose(file);
  file = std::fopen(key_file.c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

/// Asks over TLS; gives the server certificate's subject and the response.
std::pair<std::string, std::string> ask_over_tls(uint16_t port, const std::string& request,
                                                 int version_max = 0) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (version_max != 0) {
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_max_proto_version(context, version_max);
  }
  SSL* ssl = SSL_new(context);
  const int fd = connect_to(port);
  SSL_set_fd(ssl, fd);
  std::pair<std::string, std::string> out;
  if (SSL_connect(ssl) == 1) {
    X509* peer = SSL_get1_peer_certificate(ssl);
    char subject[200];
    X509_NAME_oneline(X509_get_subject_name(peer), subject, sizeof subject);
    X509_free(peer);
    out.first = subject;
    SSL_write(ssl, request.data(), static_cast<int>(request.size()));
    out.second =
        read_response([&](char* to, size_t n) { return SSL_read(ssl, to, static_cast<int>(n)); });
    SSL_shutdown(ssl);
  }
  ERR_clear_error();
  SSL_free(ssl);
  SSL_CTX_free(context);
  ::close(fd);
  return out;
}

TEST_F(ApiServerTest, SpeaksTlsAndTakesANewCertificateWithoutARestart) {
  const std::string certificate = directory + "/server.crt", key = directory + "/server.key";
  write_certificate(certificate, key, "first");
  ApiServerOptions options;
  options.http.tls = TlsOptions{certificate, key};
  start(options);
  const auto [first, response] = ask_over_tls(server->port(), request("/api/v1/sites"));
  EXPECT_EQ(first, "/CN=first");
  EXPECT_TRUE(response.starts_with("HTTP/1.1 200 OK")) << response;
  EXPECT_NE(response.find("strict-transport-security"), std::string::npos);

  write_certificate(certificate, key, "second");
  ASSERT_TRUE(server->reload_tls());
  EXPECT_EQ(ask_over_tls(server->port(), request("/api/v1/sites")).first, "/CN=second");
  std::FILE* broken = std::fopen(key.c_str(), "w");
  std::fputs("no key", broken);
  std::fclose(broken);
  EXPECT_FALSE(server->reload_tls());
  EXPECT_EQ(ask_over_tls(server->port(), request("/api/v1/sites")).first, "/CN=second")
      << "the old one stays when the new one is broken";
  EXPECT_EQ(ask_over_tls(server->port(), request("/api/v1/sites"), TLS1_1_VERSION).first, "")
      << "TLS 1.1 is over";
}

TEST_F(ApiServerTest, ABrokenCertificateIsAnErrorAtStart) {
  ApiServerOptions options;
  options.http.port = 0;
  options.http.tls = TlsOptions{directory + "/none.crt", directory + "/none.key"};
  const auto started = ApiServer::start(services(), *journal, options);
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().text().find("none.crt"), std::string::npos) << started.error().text();
}

}  // namespace
}  // namespace penstock::api::testing
