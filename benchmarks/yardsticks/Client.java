import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;

/**
 * A publisher or a worker on RabbitMQ's Java client, a yardstick: arguments and output are those of client.c.
 */
public final class Client {
    private static final int BODY = 256, WINDOW = 1000, PREFETCH = 500, ACK_EVERY = 100;

    public static void main(String[] arguments) throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost(arguments[1]);
        factory.setPort(Integer.parseInt(arguments[2]));
        factory.setUsername(arguments[3]);
        factory.setPassword(System.getenv("AMQP_PASSWORD"));
        String queue = arguments[4];
        long messages = Long.parseLong(arguments[5]), skip = Long.parseLong(arguments[6]);
        try (Connection connection = factory.newConnection()) {
            Channel channel = connection.createChannel();
            if (arguments[0].equals("publish")) {
                publish(channel, queue, messages, skip);
            } else {
                consume(channel, queue, messages, skip);
            }
        }
    }

    private static void awaitGo() throws Exception {
        System.out.println("ready");
        if (System.in.read() < 0) {
            throw new IllegalStateException("nobody said go");
        }
    }

    private static void publish(Channel channel, String queue, long messages, long skip) throws Exception {
        Semaphore window = new Semaphore(WINDOW);
        CountDownLatch done = new CountDownLatch(1);
        channel.confirmSelect();
        channel.addConfirmListener(new com.rabbitmq.client.ConfirmListener() {
            private final boolean[] confirmed = new boolean[Math.toIntExact(messages) + 1];
            private int below = 1;
            private long count;

            @Override
            public void handleAck(long tag, boolean multiple) {
                long before = count;
                for (int at = multiple ? below : (int) tag; at <= tag; at++) {
                    if (!confirmed[at]) {
                        confirmed[at] = true;
                        count++;
                    }
                }
                if (multiple) {
                    below = Math.max(below, (int) tag + 1);
                }
                window.release((int) (count - before));
                if (count == messages) {
                    done.countDown();
                }
            }

            @Override
            public void handleNack(long tag, boolean multiple) {
                System.err.println("a publish was refused");
                System.exit(1);
            }
        });
        byte[] body = new byte[BODY];
        awaitGo();
        long first = System.nanoTime(), mark = 0;
        for (long sent = 0; sent < messages; sent++) {
            window.acquire();
            if (sent == skip) {
                mark = System.nanoTime();
            }
            AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder()
                .contentType("application/octet-stream")
                .deliveryMode(2)
                .messageId("bench.1." + sent + ".1.deadbeef")
                .build();
            channel.basicPublish("", queue, properties, body);
        }
        done.await();
        System.out.println(first + " " + mark + " " + System.nanoTime());
    }

    private static void consume(Channel channel, String queue, long messages, long skip) throws Exception {
        CountDownLatch done = new CountDownLatch(1);
        long[] times = new long[3];
        channel.basicQos(PREFETCH);
        channel.basicConsume(queue, false, new DefaultConsumer(channel) {
            private long taken;

            @Override
            public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body)
                throws java.io.IOException {
                if (taken == 0) {
                    times[0] = System.nanoTime();
                }
                if (taken == skip) {
                    times[1] = System.nanoTime();
                }
                taken++;
                if (taken % ACK_EVERY == 0 || taken == messages) {
                    channel.basicAck(envelope.getDeliveryTag(), true);
                }
                if (taken == messages) {
                    times[2] = System.nanoTime();
                    done.countDown();
                }
            }
        });
        awaitGo();
        done.await();
        System.out.println(times[0] + " " + times[1] + " " + times[2]);
    }
}
