<?php
// Stands in for the plugin WP Popular Posts, which is not in Debian: its tables and its public REST route, written
// from its documentation. Local times; a window of minutes begins so many times sixty seconds before now.

function create_popular_posts_tables() {
    global $wpdb;
    $wpdb->query("CREATE TABLE {$wpdb->prefix}popularpostssummary (
        ID bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, postid bigint NOT NULL, pageviews bigint NOT NULL DEFAULT 1,
        view_date date NOT NULL, view_datetime datetime NOT NULL, KEY postid (postid), KEY view_datetime (view_datetime))");
}

function add_popular_posts_views($views) {
    global $wpdb;
    $rows = array_map(fn($view) => $wpdb->prepare('(%d, 1, %s, %s)', $view[0], substr($view[1], 0, 10), $view[1]), $views);
    $wpdb->query("INSERT INTO {$wpdb->prefix}popularpostssummary (postid, pageviews, view_date, view_datetime) VALUES "
        . implode(', ', $rows));
}

function popular_posts(WP_REST_Request $request) {
    global $wpdb;
    $start = new DateTime(current_time('mysql'), wp_timezone());
    $units = ['minute' => 60, 'hour' => 3600];
    $start->sub(new DateInterval('PT' . ($units[$request['time_unit']] * $request['time_quantity']) . 'S'));
    $rows = $wpdb->get_results($wpdb->prepare(
        "SELECT p.ID AS id, v.pageviews FROM {$wpdb->posts} p INNER JOIN (SELECT postid, SUM(pageviews) AS pageviews
           FROM {$wpdb->prefix}popularpostssummary WHERE view_datetime >= %s GROUP BY postid) v ON p.ID = v.postid
         WHERE p.post_type = 'post' AND p.post_password = '' AND p.post_status = 'publish'
         ORDER BY v.pageviews DESC LIMIT %d OFFSET %d",
        $start->format('Y-m-d H:i:s'), $request['limit'], $request['offset']));
    $controller = new WP_REST_Posts_Controller('post');
    $items = [];
    foreach ($rows as $row) {
        $item = $controller->prepare_item_for_response(get_post($row->id), $request);
        $item->data['pageviews'] = $row->pageviews;  // a string, as the database gives it
        $items[] = $controller->prepare_response_for_collection($item);
    }
    return new WP_REST_Response($items, 200);
}

add_action('rest_api_init', function () {
    $number = fn($default, $least) => ['type' => 'integer', 'default' => $default, 'minimum' => $least];
    register_rest_route('wordpress-popular-posts/v1', '/popular-posts', [
        'methods' => 'GET',
        'callback' => 'popular_posts',
        'permission_callback' => '__return_true',
        'args' => [
            'range' => ['type' => 'string', 'enum' => ['last24hours', 'last7days', 'last30days', 'all', 'custom']],
            'time_unit' => ['type' => 'string', 'default' => 'hour', 'enum' => ['minute', 'hour']],
            'time_quantity' => $number(24, 1),
            'limit' => $number(10, 1),
            'offset' => $number(0, 0),
        ],
    ]);
});
